"""From a filtered definition to a network whose blobs are not yet set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

import caffe_layers
from caffe_layers import Layer, Shape
from caffe_layers.base.layer import DEFAULT, Registry
from caffe_layers.data.input import Input
from prototxt import Net, Weights
from prototxt.errors import FormatError, ShapeError, within

from .global_pool import fixed_pools, make_pools_global
from .layers import Layers
from .net import CaffeNet
from .origin import Origin
from .sharing import share
from .steps import Step, build_steps


@dataclass(frozen=True)
class Draft:
    """The parts of a network: `shapes` are those of all its values."""

    definition: Net
    steps: list[Step]
    layers: Layers
    shapes: dict[str, Shape]

    @property
    def input_shapes(self) -> dict[str, Shape]:
        """The shapes of the inputs, in the network's order."""
        sources = [step for step in self.steps if step.cls.is_source]
        return {top: self.shapes[top] for step in sources for top in step.tops}

    def network(self, origin: Origin) -> CaffeNet:
        """Return the network of these parts."""
        header = self.definition.header
        return CaffeNet(
            header.name,
            self.steps,
            self.layers,
            definition=self.definition,
            input_shapes=self.input_shapes,
            phase=self.definition.phase or "TEST",
            origin=origin,
            force_backward=header.force_backward,
        )


def build(net: Net, input_shapes: Mapping[str, Shape] | None = None) -> CaffeNet:
    """Return the network of a filtered definition, its blobs not yet set."""
    return draft(net, input_shapes=input_shapes).network(Origin.of(net))


def draft(
    net: Net,
    files: Sequence[Weights] = (),
    input_shapes: Mapping[str, Shape] | None = None,
    dialect: str | None = None,
    registry: Registry = DEFAULT,
    *,
    global_pool: bool = False,
) -> Draft:
    """Return the parts of a filtered network, its blobs not yet set.

    The weights' `files` help to tell what its types stand for.
    """
    if global_pool:
        own = draft(net, files, dialect=dialect, registry=registry)
        net = make_pools_global(net, own.steps, fixed_pools(own.steps, own.layers, own.shapes))
    blobs = {
        layer.name: [blob.shape for blob in layer.blobs if blob is not None]
        for weights in files
        for layer in weights.layers
    }
    steps = build_steps(net, blobs=blobs, dialect=dialect, registry=registry)
    layers, shapes = _build_layers(steps, dict(input_shapes or {}))
    share(steps, layers)
    if not net.header.force_backward:
        _freeze(layers)
    return Draft(net, steps, layers, shapes)


def _freeze(layers: Layers) -> None:
    """Ask no gradient for blobs whose learning rate is 0; of shared ones the owner's counts."""
    seen: set[int] = set()
    for layer in layers.values():
        for index, blob in enumerate(layer.blobs):
            if isinstance(blob, nn.Parameter) and id(blob) not in seen:
                seen.add(id(blob))
                blob.requires_grad_(layer.lr_mult(index) != 0)


def _build_layers(
    steps: Sequence[Step], given: dict[str, Shape]
) -> tuple[Layers, dict[str, Shape]]:
    shapes: dict[str, Shape] = {}
    layers = Layers()
    sources = {top for step in steps if step.cls.is_source for top in step.tops}
    if unexpected := given.keys() - sources:
        known = ", ".join(sorted(sources)) or "none"
        raise ShapeError(f"{min(unexpected)!r} is no input", fix=f"the inputs are {known}")
    for step in steps:
        with within(step.place):
            bottoms = [shapes[name] for name in step.bottoms]
            layer = build_layer(step.layer, step.cls, bottoms, given)
            tops: Sequence[Shape | None] = layer.checked_shapes(*bottoms)
            for name, shape in zip(step.tops, tops, strict=True):
                known_shape = given.get(name, shape)
                if known_shape is None:
                    why = f", and {layer.lacks.args[0]}" if layer.lacks else ""
                    raise ShapeError(
                        f"the file does not say the shape of {name!r}{why}",
                        fix=f"give it with --input-shape {name}=1,3,224,224",
                    )
                shapes[name] = known_shape
        layers.add(step.key, layer)
    return layers, shapes


def build_layer(
    layer: Any, cls: type[Layer], bottoms: list[Shape], given: Mapping[str, Shape]
) -> Layer:
    """Build one layer, its blobs not yet set; `given` are the shapes that the caller says."""
    try:
        with caffe_layers.unfilled():
            return caffe_layers.build(layer, bottoms, cls)
    except FormatError:
        # Its file cannot be read, and need not be where the caller says what will be fed.
        if not cls.is_source or given.keys().isdisjoint(layer.top):
            raise
        return Input(*(given.get(top) for top in layer.top))
