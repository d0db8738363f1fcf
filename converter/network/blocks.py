"""A network as a reader sees it: in-place layers in their producer's box, boxes in named blocks."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from .net import CaffeNet
from .steps import Step, StepIndex

MAX_TITLE_PARTS = 3
"""How many parts of a name may make a block's title."""


@dataclass
class Box:
    """A layer and the layers that change its top in place."""

    steps: list[Step]

    @property
    def name(self) -> str:
        """The first layer's name."""
        return self.steps[0].key

    @property
    def bottoms(self) -> tuple[str, ...]:
        """The values that it reads."""
        return self.steps[0].bottoms

    @property
    def tops(self) -> tuple[str, ...]:
        """The values that others may read."""
        return self.steps[-1].tops


@dataclass
class Block:
    """Neighbouring boxes whose names begin alike; `title` is empty for a box on its own.

    `like` is the title of the first block of the same layer types, wired the same way.
    """

    title: str
    boxes: list[Box]
    like: str = ""


def make_boxes(net: CaffeNet) -> list[Box]:
    """Return the network's boxes in file order.

    A layer joins its producer where it has one bottom, writes over it, and alone reads it: then
    nobody sees the value in between.
    """
    index = StepIndex(net.steps)
    boxes: list[Box] = []
    makers: dict[str, Box] = {}
    for step in net.steps:
        maker = makers.get(step.bottoms[0]) if len(step.bottoms) == 1 else None
        if (
            maker is not None
            and maker.tops == step.bottoms
            and step.blobs == maker.steps[-1].blobs
            and index.reader(step.bottoms[0]) is step
            and not maker.steps[0].cls.is_source
        ):
            maker.steps.append(step)
        else:
            maker = Box([step])
            boxes.append(maker)
        makers.update(dict.fromkeys(step.tops, maker))
    return boxes


def make_blocks(boxes: Sequence[Box]) -> list[Block]:
    """Return the boxes in blocks, file order kept.

    A block's title is the part of the name before the first `/`, or before the last `_`, with a
    number in it. Where one title takes more than half of the network, titles go one `/` deeper.
    """
    titles: list[str] = []
    for depth in range(1, MAX_TITLE_PARTS + 1):
        titles = _titles(boxes, depth)
        most = Counter(filter(None, titles)).most_common(1)
        if not most or most[0][1] <= len(boxes) / 2:
            break
    blocks = []
    for title, run in groupby(zip(titles, boxes, strict=True), key=lambda pair: pair[0]):
        members = [box for _, box in run]
        if title and len(members) > 1:
            blocks.append(Block(title, members))
        else:
            blocks += [Block("", [box]) for box in members]
    _compare(blocks)
    return blocks


def _titles(boxes: Sequence[Box], depth: int) -> list[str]:
    titles = [_title(box.name, depth) for box in boxes]
    known = set(titles)
    return [box.name if box.name in known else t for box, t in zip(boxes, titles, strict=True)]


def _title(name: str, depth: int) -> str:
    parts = name.split("/")
    if len(parts) > 1:
        return "/".join(parts[: min(depth, len(parts) - 1)])
    stem = name.rpartition("_")[0]
    return stem if re.search(r"\d", stem) else ""


def _compare(blocks: Sequence[Block]) -> None:
    first: dict[object, str] = {}
    for block in blocks:
        if block.title:
            block.like = first.setdefault(_wiring(block), block.title)
            if block.like == block.title:
                block.like = ""


def _wiring(block: Block) -> object:
    """Return what equals another block's where both have the same types, wired the same way."""
    number: dict[str, int] = {}
    return tuple(
        (
            tuple(step.cls.caffe_type for step in box.steps),
            tuple(number.setdefault(value, len(number)) for value in (*box.bottoms, *box.tops)),
            len(box.tops),
        )
        for box in block.boxes
    )
