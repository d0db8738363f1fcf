"""Layers that choose: boxes, the highest value, the place of a maximum.

Of values a rounding apart two right engines may choose otherwise. So a choice is judged by what
torch chooses from the very values that the model chose from, which are judged themselves, and
what follows it goes on from the model's choice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
import torch
from torch import Tensor

from converter.network.arrays import array_of, arrays_of
from converter.network.net import CaffeNet
from converter.network.steps import Step
from converter.onnx.graph import makers
from converter.onnx.runtime import Arrays

from .run import Runs

DISCONTINUOUS = frozenset(
    {
        *("ArgMax", "Ceil", "Compress", "Equal", "Floor", "Greater", "GreaterOrEqual", "Less"),
        *("LessOrEqual", "NonMaxSuppression", "NonZero", "Round", "Sign", "TopK"),
    }
)
"""Operators that make another thing, not one a little off, of values a little off."""


def chooses(makers: Mapping[str, onnx.NodeProto], step: Step, others: Iterable[str]) -> bool:
    """Tell whether a layer chooses by its inputs, given the node that makes each value.

    `others` are the values of other layers, at which the search ends.
    """
    seen, waiting = set(others) - set(step.tops), list(step.tops)
    while waiting:
        name = waiting.pop()
        node = makers.get(name)
        if node is None or name in seen:
            continue
        seen.add(name)
        if node.op_type in DISCONTINUOUS or _gives_places(node, name):
            return True
        waiting += node.input
    return False


def _gives_places(node: onnx.NodeProto, value: str) -> bool:
    """Tell whether a value is the places of maxima."""
    return node.op_type == "MaxPool" and list(node.output).index(value) == 1


def downstream(steps: Iterable[Step], choices: Iterable[str]) -> set[str]:
    """Return the values that depend on a choice."""
    found = set(choices)
    for step in steps:
        if not found.isdisjoint(step.bottoms):
            found.update(step.tops)
    return found


@dataclass(frozen=True)
class Choice:
    """What a layer chose in the model, and what torch chooses from the same values."""

    step: Step
    made: np.ndarray
    wanted: np.ndarray


@dataclass(frozen=True)
class Choices:
    """The choices of a network's layers, by top, and the model's values that these chose from."""

    of: dict[str, Choice]
    values: dict[str, np.ndarray]

    @property
    def made(self) -> dict[str, np.ndarray]:
        """What the model chose."""
        return {name: choice.made for name, choice in self.of.items()}


def choices_of(runs: Runs) -> Choices:
    """Run the model for the values that layers choose from, and let torch choose from them."""
    nodes = makers(runs.model.onnx.proto.graph.node)
    steps, fed = runs.steps, arrays_of(runs.fed)
    ends = {top for step in steps for top in step.tops} | fed.keys()
    choosing = [step for step in steps if chooses(nodes, step, ends)]
    if not choosing:
        return Choices({}, {})
    made_by = {top: step for step in steps for top in step.tops}
    wanted = _chosen_from(choosing, made_by, nodes.keys() | fed.keys())
    values = fed | {
        name: value for some in runs.in_onnx() for name, value in some.items() if name in wanted
    }
    found: dict[str, Choice] = {}
    for step in choosing:
        for name, top in tops_of(runs.net, step, made_by, values).items():
            if name in values:
                found[name] = Choice(step, values[name], top)
    return Choices(found, values)


def _chosen_from(
    steps: Iterable[Step], made_by: Mapping[str, Step], exposed: Collection[str]
) -> set[str]:
    """Return the values that torch needs for these steps, and their tops.

    What the model has left out is made of what it has.
    """
    wanted: set[str] = set()
    waiting = list(steps)
    while waiting:
        step = waiting.pop()
        wanted.update(step.tops)
        wanted.update(step.bottoms)
        waiting += [made_by[name] for name in step.bottoms if name not in exposed]
    return wanted


def tops_of(
    net: CaffeNet, step: Step, makers: Mapping[str, Step], values: Arrays
) -> dict[str, np.ndarray]:
    """Return a layer's tops in torch, after those of the layers whose tops `values` lacks."""
    known = dict(values)
    for name in step.bottoms:
        if name not in known:
            known |= tops_of(net, makers[name], makers, known)
    fed = (torch.from_numpy(known[name]).to(net.device, net.dtype) for name in step.bottoms)
    tops = net.layers[step.key](*fed)
    tops = [tops] if isinstance(tops, Tensor) else tops
    return {name: array_of(top) for name, top in zip(step.tops, tops, strict=True)}
