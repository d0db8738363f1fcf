"""Data layers become inputs: of their shapes, and without the tops that nobody reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import caffe_layers
from caffe_layers import Layer, Shape
from caffe_layers.base.layer import Registry
from caffe_layers.data.fed import Fed
from caffe_layers.data.input import Input
from caffe_layers.data.python import Python
from converter.network.steps import read_layer
from prototxt import Net
from prototxt.blob_index import BlobIndex
from prototxt.errors import CaffeError
from prototxt.net import describe
from prototxt.upgrade.inputs import input_layer


@dataclass(frozen=True)
class Reading:
    """What a layer's class says of it; nothing where its type is not known.

    It need not be: a layer that is left out may be one that nobody here can build.
    """

    cls: type[Layer] = Layer
    message: Any = None
    learns: bool = False

    @classmethod
    def of(cls, layer: Any, net: Net, registry: Registry, dialect: str | None) -> Reading:
        """Return what is known of a layer of a network."""
        try:
            found, message = read_layer(layer, net, None, dialect, registry)
        except CaffeError:
            readings = registry.layers.get(layer.type, {})
            return cls(next(iter(readings.values()), Layer))
        return cls(found, message, found.learns(message))

    def is_source(self, layer: Any) -> bool:
        """Tell whether the layer brings data from outside."""
        return not (layer.bottom or self.cls.own_values)

    @property
    def is_known(self) -> bool:
        """Tell whether a class is known of the layer's type, or of its Python code."""
        return self.message is not None or self.cls not in (Layer, Python)

    def source(self) -> Layer | None:
        """Return the module of a source; None where it cannot be built, as without its files."""
        if self.message is None:
            return None
        try:
            return caffe_layers.build(self.message, [], self.cls)
        except CaffeError:  # its file is not here: --input-shape says the shape
            return None


def drop_unread_tops(net: Net, registry: Registry, dialect: str | None) -> tuple[Net, list[str]]:
    """Return a network that was cut without the tops of data layers that nobody reads any more.

    Such a layer becomes an input of those that are read: labels are not asked for. The notes say
    so.
    """
    blobs = BlobIndex.of(net.layers)
    layers = list(net.layers)
    notes: list[str] = []
    for index, layer in enumerate(net.layers):
        read = [value.blob for value in blobs.tops[index] if blobs.readers(value)]
        if layer.bottom or len(read) in (0, len(layer.top)):
            continue
        reading = Reading.of(layer, net, registry, dialect)
        if reading.is_source(layer):
            layers[index], note = as_input(reading, layer, read)
            lost = quoted(top for top in layer.top if top not in read)
            said = f": {note}" if note else ""
            notes.append(f"no layer reads {lost} any more, so it is not fed{said}")
    return replace(net, layers=layers), notes


def as_input(reading: Reading, layer: Any, tops: Sequence[str]) -> tuple[Any, str]:
    """Return the Input layer in a data layer's place, and what to know of it; "" if nothing."""
    is_input = issubclass(reading.cls, Input)
    if is_input and len(tops) == len(layer.top):
        return layer, ""
    module = reading.source()
    new = input_of(layer, tops, said_shapes(layer, module))
    if is_input:
        return new, ""
    note = f"the input {quoted(tops)} in the place of {describe(layer)}"
    transform = _transform(module)
    return new, note + (f", which also did this to what it read: {transform}" if transform else "")


def said_shapes(layer: Any, module: Layer | None) -> dict[str, Shape | None]:
    """Return the shapes of a source's tops that its definition says, None for the others."""
    shapes = module.shapes() if module is not None else [None] * len(layer.top)
    return dict(zip(layer.top, shapes, strict=True))


def input_of(layer: Any, tops: Sequence[str], shapes: Mapping[str, Shape | None]) -> Any:
    """Return an Input layer of the same name with some tops, of their shapes if all are known."""
    new = input_layer(tops)  # BVLC's: a fork's LayerParameter may have no input_param
    new.name = layer.name
    known = [shape for top in tops if (shape := shapes.get(top)) is not None]
    if len(known) == len(tops):
        for shape in known:
            new.input_param.shape.add().dim.extend(shape)
    return new


def _transform(module: Layer | None) -> str:
    if not isinstance(module, Fed):
        return ""
    how = module.transform
    words = [f"mean file {how.mean_file}"] if how.mean_file else []
    words += [f"mean {', '.join(f'{v:g}' for v in how.mean_value)}"] if how.mean_value else []
    words += [f"scale {how.scale:g}"] if how.scale != 1 else []
    words += [f"crop to {how.crop_size}"] if how.crop_size else []
    return "; ".join([*words, "mirror"] if how.mirror else words)


def quoted(names: Iterable[str]) -> str:
    """Return names as a note lists them."""
    return ", ".join(map(repr, names))
