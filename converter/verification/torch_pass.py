"""A network in torch, a stretch at a time; with other blobs or other values where that is asked."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from caffe_layers import Layer
from converter.network.arrays import array_of, arrays_of
from converter.network.net import CaffeNet
from converter.network.plan import Plan
from converter.network.steps import Step

from .stretches import Stretch

Making = Callable[[str, Tensor], Tensor]
"""What makes another tensor of one, given its name."""


def same(_: str, value: Tensor) -> Tensor:
    """Return a value as it is."""
    return value


def replacing(replaced: Mapping[str, np.ndarray]) -> Making:
    """Return what puts these values in the place of those of the same names."""

    def replace(name: str, value: Tensor) -> Tensor:
        return torch.from_numpy(replaced[name]).to(value) if name in replaced else value

    return replace


def after(first: Making, second: Making) -> Making:
    """Return what does the first and then the second."""
    return lambda name, value: second(name, first(name, value))


def rounded_to_half(value: Tensor) -> Tensor:
    """Return the nearest values that float16 holds, in the type that they came in."""
    return value.half().to(value.dtype)


@dataclass(frozen=True)
class Change:
    """How a pass differs from the network's own."""

    dtype: torch.dtype | None = None
    """The type that the inputs and the layers have, if not the network's own."""
    blobs: Making = same
    """Makes a layer's blob, by the layer's key, another one while the layer runs."""
    values: Making = same
    """Makes of an input, or a top, what follows it shall read."""

    @property
    def keeps_layers(self) -> bool:
        """Tell whether the layers run as they are."""
        return self.dtype is None and self.blobs is same


NO_CHANGE = Change()


def torch_pass(
    net: CaffeNet,
    stretches: Sequence[Stretch],
    fed: Mapping[str, Tensor],
    change: Change = NO_CHANGE,
) -> Iterator[dict[str, np.ndarray]]:
    """Yield the values of each stretch, with the first the inputs; earlier ones are let go.

    So are blobs that can be read from their file again.

    The network begins anew, since one in training or with a state changes with a pass.
    """
    net.reset_state()
    cast = {name: _cast(value, change.dtype) for name, value in fed.items()}
    known = net.feed({name: change.values(name, value) for name, value in cast.items()})
    made = arrays_of(known)
    for stretch in stretches:
        for step in stretch.steps:
            known |= _run(net, step, known, change)
        net.origin.let_go()  # before another engine has its turn, with copies of the same blobs
        yield made | {top: array_of(known[top]) for top in stretch.tops}
        made = {}
        known = {name: value for name, value in known.items() if name in stretch.read_later}


def _run(
    net: CaffeNet, step: Step, known: Mapping[str, Tensor], change: Change
) -> dict[str, Tensor]:
    """Return a step's tops."""
    with _changed(net.layers[step.key], step.key, change):
        values = net.run(known, Plan((step,), {}, ((),)))
    return {top: change.values(top, values[top]) for top in step.tops}


@contextmanager
def _changed(layer: Layer, key: str, change: Change) -> Iterator[None]:
    """Let a layer have another type, and other blobs, for a while."""
    kept = [] if change.keeps_layers else [(one, one.data) for one in _tensors(layer)]
    for one, data in kept:
        one.data = _cast(data, change.dtype)
    try:
        for blob in layer.blobs if kept else ():
            blob.data = change.blobs(key, blob.data)
        yield
    finally:
        for one, data in kept:
            one.data = data


def _cast(value: Tensor, dtype: torch.dtype | None) -> Tensor:
    """Return numbers in a type; integers as they are."""
    return value.to(dtype) if value.is_floating_point() else value


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]


def twin(net: CaffeNet) -> CaffeNet:
    """Return a network of layers with a state of their own, which share its blobs.

    In training these are its own too: a pass changes statistics.
    """
    shared = [] if net.training else _tensors(net)
    memo: dict[int, Any] = {id(blob): blob for blob in shared}
    return copy.deepcopy(net, memo)
