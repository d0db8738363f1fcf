"""The selections of SK units: branches are weighed by a softmax of their scores, and added."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod

from caffe_layers import Layer, Shape
from caffe_layers.fused.selection import Selection

from .layers import Layers
from .steps import Step, StepIndex


@dataclass(frozen=True)
class Branch:
    """What is selected from: `product` multiplies its `features` by its `weights`.

    The weights come from the slices of the softmax by way of `between`.
    """

    features: str
    weights: str
    product: Step
    between: tuple[Step, ...] = ()


@dataclass(frozen=True)
class Found:
    """One selection of a network: its scores, and for each channel a weight of every branch.

    `step` is the Softmax and `sliced` the Slice into branches; in an optimised network `step` is
    the whole selection, and `sliced` None.
    """

    step: Step
    sliced: Step | None
    scores: str
    channels: int
    branches: tuple[Branch, ...]


def find_selections(
    steps: Sequence[Step], layers: Layers, shapes: Mapping[str, Shape]
) -> Iterator[Found]:
    """Yield the selections of a network, optimised or not, in its order."""
    index = StepIndex(steps)
    for step in steps:
        if found := find_selection(step, index, layers, shapes):
            yield found


def find_selection(
    step: Step, index: StepIndex, layers: Layers | Mapping[str, Layer], shapes: Mapping[str, Shape]
) -> Found | None:
    """Return the selection that a step is, or that a Softmax begins; None if it is of no such."""
    if step.cls is Selection:
        scores, *features = step.bottoms
        branches = [Branch(name, scores, step) for name in features]
        return Found(step, None, scores, prod(shapes[scores][2:]), tuple(branches))
    if step.cls.caffe_type != "Softmax" or getattr(layers[step.key], "axis", None) != 1:
        return None
    (weights,) = step.tops
    sliced = next((other for other in index.readers(weights) if _slices(other, shapes)), None)
    if sliced is None:
        return None
    found = [_branch(top, index) for top in sliced.tops]
    branches = [branch for branch in found if branch is not None]
    if len(branches) < len(found):
        return None
    return Found(step, sliced, step.bottoms[0], prod(shapes[weights][2:]), tuple(branches))


def _slices(step: Step, shapes: Mapping[str, Shape]) -> bool:
    """Tell whether a step is a Slice that takes each place of axis 1 apart."""
    whole = shapes[step.bottoms[0]]
    if step.cls.caffe_type != "Slice" or len(whole) < 3:
        return False
    return len(step.tops) == whole[1] and all(shapes[top][1] == 1 for top in step.tops)


def _branch(weights: str, index: StepIndex) -> Branch | None:
    """Follow a branch's weights to the step that multiplies its features."""
    for step in index.readers(weights):
        others = [name for name in step.bottoms if name != weights]
        if others:
            return Branch(others[0], weights, step)
        found = _branch(step.tops[0], index) if len(step.tops) == 1 else None
        if found is not None:
            return replace(found, between=(step, *found.between))
    return None
