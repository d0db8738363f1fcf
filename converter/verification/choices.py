"""Layers that choose: boxes, the highest value, the place of a maximum.

Of values a rounding apart two right engines may choose otherwise. So a choice is judged by what
torch chooses from the very values that the model chose from, which are judged themselves, and
what follows it goes on from the model's choice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import onnx
import torch
from torch import Tensor

from converter.network.arrays import array_of
from converter.network.net import CaffeNet
from converter.network.steps import Step
from converter.onnx.runtime import Arrays

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
