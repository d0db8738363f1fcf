"""A network run in torch with values replaced, or rounded to float16, where they are made."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from converter.network.arrays import array_of
from converter.network.net import CaffeNet
from converter.onnx.runtime import Arrays

from .half_model import HalfModel


def run_replaced(
    net: CaffeNet,
    fed: Mapping[str, Tensor],
    replaced: Arrays,
    rounded: frozenset[str] = frozenset(),
) -> dict[str, np.ndarray]:
    """Return every value of a network of one's own: it is left with hooks.

    What follows a layer reads `replaced` in place of its tops of these names, and those in
    `rounded` as float16 holds them.
    """
    net.reset_state()
    fed = {name: value.to(net.dtype) for name, value in fed.items()}
    fed = net.feed(
        {name: rounded_to_half(value) if name in rounded else value for name, value in fed.items()}
    )
    plan = net.plan(fed)
    for step in plan.steps:
        net.layers[step.key].register_forward_hook(partial(_change, step.tops, replaced, rounded))
    return {name: array_of(value) for name, value in net.run(fed, plan).items()}


def with_rounded_weights(net: CaffeNet, model: HalfModel) -> CaffeNet:
    """Return the network with the weights that the file holds in float16 rounded to it."""
    net = copy.deepcopy(net)
    for name, layer in net.layers.items():
        if model.holds_weights_of(name):
            for blob in layer.blobs:
                blob.data = rounded_to_half(blob.data)
    return net


def rounded_to_half(value: Tensor) -> Tensor:
    """Return the nearest values that float16 holds, in the type that they came in."""
    return value.half().to(value.dtype)


def _change(
    names: tuple[str, ...],
    replaced: Arrays,
    rounded: frozenset[str],
    layer: nn.Module,
    bottoms: tuple[Tensor, ...],
    tops: Any,
) -> tuple[Tensor, ...]:
    """Return a layer's tops as what follows it shall read them."""
    return tuple(
        torch.from_numpy(replaced[name]).to(top)
        if name in replaced
        else rounded_to_half(top)
        if name in rounded
        else top
        for name, top in zip(names, [tops] if isinstance(tops, Tensor) else tops, strict=True)
    )
