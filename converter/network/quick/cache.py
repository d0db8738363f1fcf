"""The calls of a network by the shapes of its inputs, made where shapes come a second time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import torch
from torch import Tensor

from caffe_layers import Layer, Shape
from caffe_layers.base.private_torch import is_traced_by_jit
from converter.network.layers import Layers
from converter.network.plan import Plan

from .calls import Calls, laid_out

Signature = tuple[Any, ...]
MOST = 64
"""So many signatures are kept; a network over images of all sizes begins anew after them."""


class Called(Protocol):
    """What is called: a network, which says of itself what calls are made of."""

    layers: Layers

    @property
    def is_channels_last(self) -> bool:
        """Tell whether memory is laid out with the channels last."""

    def feed(self, inputs: Any) -> dict[str, Tensor]:
        """Return the inputs by name."""

    def plan(self, fed: Mapping[str, object]) -> Plan:
        """Return what runs when these blobs are fed."""

    def shapes(self, inputs: Mapping[str, Shape] | None = None) -> dict[str, Shape]:
        """Return the shape of every value for inputs of these shapes."""


class Quick:
    """What a network has found of calls like earlier ones.

    A signature is the shape of the first input, or names and shapes. One that came once has no
    calls yet: of many networks no second image has the size.
    """

    def __init__(self) -> None:
        self._calls: dict[Signature, Calls | None] = {}
        self._met: set[Signature] = set()

    def __deepcopy__(self, memo: object) -> Quick:
        return Quick()  # a copied network has other layers

    def __reduce__(self) -> tuple[type[Quick], tuple[()]]:
        return Quick, ()

    def outputs(self, net: Called, inputs: Any) -> dict[str, Tensor] | None:
        """Return the output blobs; None where the network has to look at what it does.

        So it is where tensors are of another kind than values, where something else than the
        layers would see the calls, and where a call fails: then it says why.
        """
        signature, fed = _signature(inputs)
        if signature not in self._calls:
            if fed and not _is_seen_by_others():
                self._meet(net, signature, inputs)
            return None
        calls = self._calls[signature]
        if calls is None or _is_seen_by_others() or not calls.are_current():
            return None
        if calls.channels_last:
            fed = tuple(map(laid_out, fed))
        try:
            return calls.run(fed)
        except Exception:
            return None

    def _meet(self, net: Called, signature: Signature, inputs: Any) -> None:
        if signature in self._met:
            self._calls[signature] = calls_of(net, inputs)
            return
        if len(self._met) == MOST:
            self._met.clear()
            self._calls.clear()
        self._met.add(signature)


def _signature(inputs: Any) -> tuple[Signature, tuple[Tensor, ...]]:
    """Return what tells inputs from others, and the tensors; both empty where it is not known."""
    if type(inputs) is Tensor:
        return inputs.shape, (inputs,)
    if type(inputs) is dict:
        fed = tuple(inputs.values())
        if all(type(value) is Tensor for value in fed):
            return tuple([(name, value.shape) for name, value in inputs.items()]), fed
    return (), ()


def _is_seen_by_others() -> bool:
    """Tell whether a tracer or a compiler writes down what is called."""
    return torch.compiler.is_compiling() or is_traced_by_jit()


def calls_of(net: Called, inputs: Tensor | Mapping[str, Tensor]) -> Calls | None:
    """Return the calls for inputs like these; None for a network that reads data or cuts diffs."""
    fed = net.feed(inputs)
    plan = net.plan(fed)
    layers = [net.layers[step.key] for step in plan.steps]
    if not plan.steps or not all(map(_is_plain, layers)) or _cuts_diffs(plan):
        return None
    shapes: dict[str, Shape] = net.shapes({name: tuple(one.shape) for name, one in fed.items()})
    return Calls(plan, net.layers, fed, shapes, channels_last=net.is_channels_last)


def _is_plain(layer: Layer) -> bool:
    """Tell whether a layer's tops are as its shape rule says, and it reads no data."""
    return not layer.is_source and layer.free_axis is None


def _cuts_diffs(plan: Plan) -> bool:
    return any(not row for step in plan.steps for row in step.propagate_down)
