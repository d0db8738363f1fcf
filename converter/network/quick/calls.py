"""A network's pass over inputs of known shapes, as a flat list of calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from caffe_layers import Layer, Shape
from caffe_layers.base.private_torch import GLOBAL_HOOKS, hooks_of
from converter.network.layers import Layers
from converter.network.plan import Plan
from converter.network.steps import Step

Values = list[Any]
"""A network's values while it runs, each at its place; None once no later call reads it."""


class Call(NamedTuple):
    """What computes one value of another; `dead` are the places that nothing reads after it.

    A call of several values has `bottom` -1: it takes the whole list and writes into it.
    """

    run: Callable[[Any], Any]
    bottom: int
    top: int
    dead: tuple[int, ...]


class Calls:
    """The calls of a plan for fed values of these shapes; those of all values are `shapes`.

    They hold while the layers are the same modules and have no hooks, which `are_current` tells.
    `channels_last` says whether a layer would have the inputs so.
    """

    def __init__(
        self,
        plan: Plan,
        layers: Layers,
        fed: Iterable[str],
        shapes: Mapping[str, Shape],
        *,
        channels_last: bool = False,
    ) -> None:
        self._modules = layers._modules
        self._known = tuple(self._modules.values())
        self._hooks: list[Mapping[int, Any]] = list(GLOBAL_HOOKS)
        self.channels_last = channels_last and any(
            layers[step.key].wants_channels_last(*(shapes[name] for name in step.bottoms))
            for step in plan.steps
        )
        places = {name: place for place, name in enumerate(fed)}
        self._calls: list[Call] = []
        for step, last_used in zip(plan.steps, plan.last_uses, strict=True):
            for top in step.tops:
                places[top] = len(places)
            self._calls.append(self._call(step, layers[step.key], places, last_used, shapes))
        self._outputs = [(blob, places[value]) for blob, value in plan.outputs.items()]
        self._room = [None] * len(places)

    def _call(
        self,
        step: Step,
        layer: Layer,
        places: Mapping[str, int],
        last_used: Iterable[str],
        shapes: Mapping[str, Shape],
    ) -> Call:
        run = _bound(layer, [shapes[name] for name in step.bottoms])
        if run is not None:  # else the module itself is called, and sees to its hooks
            self._hooks += hooks_of(layer)
        dead = tuple(places[name] for name in last_used)
        bottoms = [places[name] for name in step.bottoms]
        tops = [places[name] for name in step.tops]
        if run is not None and len(bottoms) == len(tops) == 1:
            return Call(run, bottoms[0], tops[0], dead)
        return Call(_of_several(run or layer, bottoms, tops), -1, -1, dead)

    def are_current(self) -> bool:
        """Tell whether the layers are still those that the calls were made of."""
        return tuple(self._modules.values()) == self._known and not any(self._hooks)

    def run(self, fed: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return the output blobs."""
        values: Values = [*fed, *self._room[len(fed) :]]
        for run, bottom, top, dead in self._calls:
            if bottom < 0:
                run(values)
            else:
                values[top] = run(values[bottom])
            for place in dead:
                values[place] = None
        return {blob: values[place] for blob, place in self._outputs}


def _bound(layer: Layer, bottoms: Sequence[Shape]) -> Callable[..., Any] | None:
    """Return the layer's function for bottoms of these shapes, None where it has none."""
    own = vars(type(layer)).get("bound")
    if own is None or "forward" in vars(layer):
        return None
    made: Callable[..., Any] | None = own(layer, *bottoms)
    return made


def _of_several(
    run: Callable[..., Any], bottoms: Sequence[int], tops: Sequence[int]
) -> Callable[[Values], None]:
    """Return what runs a layer on the list of values, and writes its tops there."""

    def write(values: Values) -> None:
        made = run(*[values[place] for place in bottoms])
        if isinstance(made, Tensor):
            made = (made,)
        for place, value in zip(tops, made, strict=True):
            values[place] = value

    return write


def laid_out(value: Tensor) -> Tensor:
    """Return an image with its channels last in memory."""
    return value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value
