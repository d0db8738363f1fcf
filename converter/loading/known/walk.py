"""A network as far as it is known: each layer built on its own, for the shapes that reach it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import caffe_layers
from caffe_layers import Layer, Shape
from caffe_layers.base.layer import DEFAULT, Registry
from converter.network.build import UnsaidShapeError, build_layer, tops_of
from converter.network.steps import AUTOMATIC, read_layer, unmade
from prototxt import Net
from prototxt.errors import CaffeError, FormatError

UNSEEN = "not looked at"
"""Why nothing is known of a layer that an earlier one's fault leaves without a bottom's shape."""


@dataclass(frozen=True)
class Part:
    """One layer, and what is known of it; `error` says why that is not all.

    `tops` are the shapes of the blobs that it writes, None where not known; a loss may make more
    than the definition names. `bottoms` and `module` are there if it was built. A layer is not
    `seen` where an earlier one's fault leaves a bottom's shape unknown.
    """

    index: int
    layer: Any
    cls: type[Layer] | None = None
    module: Layer | None = None
    bottoms: Sequence[Shape] = ()
    tops: Mapping[str, Shape | None] = field(default_factory=dict)
    error: CaffeError | None = None
    seen: bool = True

    @property
    def reason(self) -> str:
        """Why it is not known; UNSEEN where that is another one's fault, "" where it is known."""
        return str(self.error) if self.error else "" if self.seen else UNSEEN


def walk(
    net: Net,
    given: Mapping[str, Shape] | None = None,
    blobs: Mapping[str, Sequence[Shape]] | None = None,
    dialect: str | None = None,
    registry: Registry = DEFAULT,
) -> list[Part]:
    """Return the layers of a filtered network in their order, each built if that can be.

    `given` are inputs' shapes, `blobs` those of the weights by layer, where known. The modules'
    blobs hold no values. A layer of which something did not read is not built.
    """
    walking = _Walk(net, given or {}, blobs or {}, dialect, registry)
    return [walking.part(index) for index in range(len(net.layers))]


@dataclass
class _Walk:
    """Goes over the layers in order; knows the shapes of the blobs so far, None where not known."""

    net: Net
    given: Mapping[str, Shape]
    blobs: Mapping[str, Sequence[Shape]]
    dialect: str | None
    registry: Registry
    shapes: dict[str, Shape | None] = field(default_factory=dict)

    def part(self, index: int) -> Part:
        """Build the next layer."""
        layer = self.net.layers[index]
        known = {name: self.shapes[name] for name in layer.bottom if name in self.shapes}
        part = Part(index, layer, tops=dict.fromkeys(layer.top))
        self.shapes.update(part.tops)  # until it is built
        try:
            part = self._read(part)
            part = self._built(part, known)
        except CaffeError as error:
            part = replace(part, error=error)
        self.shapes.update((name, part.tops[name]) for name in layer.top)
        return part

    def _read(self, part: Part) -> Part:
        """Find the class; that its type is unknown says more than a field that is so."""
        faults = self.net.faults_of(part.index)
        if faults and (part.layer.type in self.registry.layers or not part.layer.type):
            raise FormatError(faults[0].problem, fix=faults[0].fix)
        blobs = self.blobs.get(part.layer.name)
        cls, layer = read_layer(part.layer, self.net, blobs, self.dialect, self.registry)
        return replace(part, cls=cls, layer=layer)

    def _built(self, part: Part, known: Mapping[str, Shape | None]) -> Part:
        layer, cls = part.layer, part.cls
        assert cls is not None
        if missing := [name for name in layer.bottom if name not in known]:
            raise unmade(missing[0], self.net)
        bottoms = [shape for name in layer.bottom if (shape := known[name]) is not None]
        if len(bottoms) < len(layer.bottom):
            return replace(part, seen=False)
        with caffe_layers.weightless():
            module = build_layer(
                layer, cls, bottoms, self.given, training=self.net.phase == "TRAIN"
            )
        made = tops_of(module, bottoms, len(layer.top))
        if cls.is_source:
            made = [self.given.get(name, top) for name, top in zip(layer.top, made, strict=True)]
        names = [*layer.top, *(f"{AUTOMATIC}{at}" for at in range(len(made)))][: len(made)]
        part = replace(
            part, module=module, bottoms=bottoms, tops=dict(zip(names, made, strict=True))
        )
        if lost := [name for name, top in part.tops.items() if top is None]:
            why = f", and {module.read_error.args[0]}" if module.read_error else ""
            problem = f"the file does not say the shape of {lost[0]!r}{why}"
            return replace(part, error=UnsaidShapeError(problem, fix="--input-shape says it"))
        return part
