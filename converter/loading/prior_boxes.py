"""Prior boxes beside the convolutions that predict for them: a fork's PriorBox makes others."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import permutations

from caffe_layers import Shape
from caffe_layers.forks.ssd.detections import Detections
from converter.network.steps import Step, StepIndex
from prototxt.errors import UnsupportedError, within

COORDINATES = 4


def check_prior_boxes(steps: Sequence[Step], shapes: Mapping[str, Shape]) -> None:
    """Raise UnsupportedError where a map's convolutions predict for other numbers of boxes.

    SSD's networks read a map by a PriorBox, and by convolutions whose tops are permuted, flattened
    and concatenated: one has 4 channels for each box (or for each box and class), or as many as the
    network's DetectionOutput wants, another one for each box and class. DetectionOutput counts all
    maps together, where there is one.
    """
    index = StepIndex(steps)
    wanted = {COORDINATES}
    for step in steps:
        if issubclass(step.cls, Detections):
            wanted |= set(step.cls.locations)
    for step in steps:
        if step.layer.type != "PriorBox":
            continue
        feature = step.bottoms[0]
        places = shapes[feature][2] * shapes[feature][3]
        boxes = shapes[step.tops[0]][2] // (COORDINATES * places)
        convolutions = list(_predicting(index, feature))
        channels = [shapes[one.tops[0]][1] for one in convolutions]
        named = list(zip(channels, (one.layer.name for one in convolutions), strict=True))
        fits = any(_fit(boxes, loc, conf, wanted) for loc, conf in permutations(named, 2))
        if len(channels) > 1 and not fits:
            said = " and ".join(
                f"{one.layer.name!r} {count}"
                for one, count in zip(convolutions, channels, strict=True)
            )
            with within(step.place):
                raise UnsupportedError(
                    f"{boxes} boxes a place, wants 4 channels for each in a convolution of "
                    f"{feature!r} and one for each class in another; {said}",
                    fix="a fork's PriorBox makes other boxes: FaceBoxes says them with fixed_size "
                    "and density, TextBoxes++ with denser_prior_boxes; without these fields they "
                    "are not known here",
                )


def _fit(boxes: int, loc: tuple[int, str], conf: tuple[int, str], wanted: Collection[int]) -> bool:
    """Tell whether channels are those of so many boxes, shared by the classes or not.

    `wanted` says how many each may have in `loc`. What is called `loc` or `conf`, as SSD's scripts
    call them, is no other's.
    """
    swapped = "conf" in loc[1] or "loc" in conf[1]
    whole = conf[0] % boxes == 0 and any(
        loc[0] == each * count for each in wanted for count in (boxes, conf[0])
    )
    return whole and not swapped


def _predicting(index: StepIndex, feature: str) -> Iterator[Step]:
    """Yield the convolutions of a map whose tops are permuted, flattened and concatenated."""
    for step in index.readers(feature):
        if step.layer.type == "Convolution":
            after: Step | None = step
            for kind in ("Permute", "Flatten", "Concat"):
                after = index.reader(after.tops[0]) if after is not None else None
                if after is not None and after.layer.type != kind:
                    after = None
            if after is not None:
                yield step
