"""The evaluation itself: samples in batches through torch or ONNX Runtime, errors counted."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from converter.network.arrays import array_of
from converter.network.net import CaffeNet
from converter.onnx.export import export_onnx
from converter.onnx.runtime import open_onnx
from converter.parallel import Processes
from converter.preprocessing import Preprocessing, Transform, image_input
from converter.progress import progress
from prototxt.errors import ShapeError, UsageError, WeightError

from .batches import Batch, batches
from .resume import EvaluationState
from .samples import LabelledImages, check_label

ENGINES = ("torch", "onnx")
TOP_RANKS = 5
"""An image counts for top-5 if its class is one of so many highest."""


@dataclass(frozen=True)
class Evaluation:
    """How many images were classified, and how many of them wrongly.

    An image counts for top-5 if its class is among the five highest scores; of equal scores the
    class of the larger number is the higher, as in Caffe's Accuracy. `top5` is None where there are
    5 classes or fewer.
    """

    images: int
    classes: int
    top1_wrong: int
    top5_wrong: int | None
    seconds: float
    preprocessing: str
    engine: str

    @property
    def top1_error(self) -> float:
        """Top-1 error in percent."""
        return 100 * self.top1_wrong / self.images

    @property
    def top5_error(self) -> float | None:
        """Top-5 error in percent."""
        return None if self.top5_wrong is None else 100 * self.top5_wrong / self.images

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {**asdict(self), "top1_error": self.top1_error, "top5_error": self.top5_error}

    def __str__(self) -> str:
        rate = self.images / self.seconds if self.seconds else 0.0
        top5 = "" if self.top5_error is None else f", top-5 error {self.top5_error:.2f} %"
        return (
            f"top-1 error {self.top1_error:.2f} %{top5} "
            f"({self.images:,} images, {rate:.1f} a second, {self.engine})"
        )


def evaluate(
    net: CaffeNet,
    samples: LabelledImages,
    preprocessing: Preprocessing,
    *,
    engine: str = "torch",
    output: str | None = None,
    batch: int = 32,
    workers: int = 0,
    state: str | PathLike[str] | None = None,
    quiet: bool = True,
) -> Evaluation:
    """Return the errors of a classifier on labelled images.

    Under `torchrun` each process takes every world-th sample, and all get the sum.

    Args:
        net: the classifier.
        samples: the images, as `open_samples` gives them.
        preprocessing: what its input wants done to an image.
        engine: "torch" or "onnx".
        output: the scores' name, N x K or N x K x 1 x 1, where there is more than one output.
        batch: how many images run at once.
        workers: processes that read images (0: none but this one).
        state: a file in which progress is kept: an evaluation that was cut off goes on from it, and
            it is gone when the evaluation is done.
        quiet: no progress is shown.

    Raises ShapeError where the output is no scores, FormatError, with its name, for a sample that
    cannot be read or whose label is no class, WeightError for scores that are NaN.
    """
    group = Processes.joined()
    mine = range(group.rank, len(samples), group.count)
    kept = EvaluationState.open(state, _identity(net, samples, preprocessing, engine), group.rank)
    begin = time.monotonic()
    with (
        _scorer(net, engine, output) as scores_of,
        progress("evaluate", len(mine), quiet=quiet or not group.is_primary, unit="image") as bar,
        kept.saving(),
    ):
        bar.update(kept.done)
        left, transform = mine[kept.done :], Transform(preprocessing)
        for loaded in batches(samples, left, transform, batch=batch, workers=workers):
            _count(scores_of(loaded.images), loaded, samples, kept)
            bar.update(len(loaded.labels))
    seconds = time.monotonic() - begin
    done, top1_wrong, top5_wrong = group.sum(
        [kept.done, kept.top1_wrong, kept.top5_wrong], net.device
    )
    kept.finish()
    return Evaluation(
        done,
        kept.classes,
        top1_wrong,
        top5_wrong if kept.classes > TOP_RANKS else None,
        seconds,
        str(preprocessing),
        "torch" if engine == "torch" else "ONNX Runtime",
    )


def identity_of(
    net: CaffeNet, samples: LabelledImages, preprocessing: Preprocessing
) -> dict[str, Any]:
    """Return what must be the same where a run over samples goes on."""
    infos = [source.info() for source in net.sources]
    return {
        "network": [vars(info) if info else None for info in infos],
        "samples": [len(samples), samples.name(0), samples.name(len(samples) - 1)],
        "preprocessing": str(preprocessing),
    }


def _identity(
    net: CaffeNet, samples: LabelledImages, preprocessing: Preprocessing, engine: str
) -> dict[str, Any]:
    group = Processes.joined()
    own = {"engine": engine, "processes": [group.rank, group.count]}
    return {**identity_of(net, samples, preprocessing), **own}


def _count(scores: Tensor, loaded: Batch, samples: LabelledImages, kept: EvaluationState) -> None:
    classes = scores.shape[1]
    for label, index in zip(loaded.labels.tolist(), loaded.indices, strict=True):
        check_label(label, classes, samples, index)
    ranks = rank_of(scores, loaded.labels)
    top1_wrong, top5_wrong = (int((ranks >= count).sum()) for count in (1, TOP_RANKS))
    kept.add(len(ranks), top1_wrong, top5_wrong, classes)


def rank_of(scores: Tensor, labels: Tensor) -> Tensor:
    """Return how many classes score higher than each row's label; ties as in Caffe's Accuracy."""
    own = scores.gather(1, labels[:, None])
    if bool(scores.isnan().any()):
        raise WeightError("the scores are NaN", fix="`caffeport verify` names the first such blob")
    later = torch.arange(scores.shape[1], device=scores.device) > labels[:, None]
    return ((scores > own) | ((scores == own) & later)).sum(1)


def scores_output(net: CaffeNet, output: str | None) -> str:
    """Return the name of the network's output that holds scores: the only one, or the given."""
    outputs = net.exported().plan.outputs
    if output is None and len(outputs) == 1:
        return next(iter(outputs))
    if output not in outputs:
        known = ", ".join(outputs)
        said = f"{output!r} is no output" if output else "which output holds the scores is not said"
        raise ShapeError(f"{said}, the outputs are {known}", fix="name it with --scores")
    return output


@contextmanager
def _scorer(net: CaffeNet, engine: str, output: str | None) -> Iterator[Callable[[Tensor], Tensor]]:
    data, name = image_input(net), scores_output(net, output)
    if engine not in ENGINES:
        raise UsageError(f"engine {engine!r}, wants one of {', '.join(ENGINES)}")
    with tempfile.TemporaryDirectory() as folder:
        if engine == "onnx":
            path = Path(folder, "net.onnx")
            export_onnx(net, path)
            model = open_onnx(path)

        def score(images: Tensor) -> Tensor:
            if engine == "onnx":
                scores = torch.from_numpy(model({data: array_of(images.to(net.dtype))})[name])
            else:
                with torch.inference_mode():
                    scores = net({data: images.to(net.device, net.dtype)})[name].float().cpu()
            if scores.dim() < 2 or scores[0, 0].numel() != 1:
                raise ShapeError(f"output {name!r} is {tuple(scores.shape)}, wants N x K scores")
            return scores.flatten(1)

        yield score
