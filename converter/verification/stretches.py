"""A network cut into stretches, so small that the values of one are no burden to memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod

from caffe_layers import Shape
from converter.network.layers import Layers
from converter.network.plan import Plan
from converter.network.steps import Step

LARGEST = 2**22
"""So many numbers, values and blobs, has a stretch of more than one step: 16 MiB of floats."""


@dataclass(frozen=True)
class Stretch:
    """Steps that follow each other; `read_later` are the values that those after them read."""

    steps: tuple[Step, ...]
    read_later: frozenset[str]

    @property
    def tops(self) -> list[str]:
        """The values that the steps make."""
        return [top for step in self.steps for top in step.tops]


def stretches_of(
    plan: Plan, shapes: Mapping[str, Shape], layers: Layers, largest: int | None = None
) -> tuple[Stretch, ...]:
    """Return a plan's steps in stretches; an empty one where there are no steps.

    `largest` stands for LARGEST; with 0 each step is a stretch.
    """
    largest = LARGEST if largest is None else largest
    groups: list[list[Step]] = [[]]
    held = 0
    for step in plan.steps:
        size = sum(prod(shapes.get(top, ())) for top in step.tops)
        size += sum(blob.numel() for blob in layers[step.key].blobs)
        if groups[-1] and held + size > largest:
            groups.append([])
            held = 0
        groups[-1].append(step)
        held += size
    read: frozenset[str] = frozenset()
    found = []
    for group in reversed(groups):
        found.append(Stretch(tuple(group), read))
        read |= _bottoms(group)
    return tuple(reversed(found))


def _bottoms(steps: Iterable[Step]) -> frozenset[str]:
    return frozenset(bottom for step in steps for bottom in step.bottoms)
