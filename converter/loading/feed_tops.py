"""Layers that nobody here can run, and whose tops the caller feeds in their place."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from dataclasses import replace
from typing import Any

from caffe_layers import Shape
from caffe_layers.base.layer import Registry
from caffe_layers.base.refused import Refused
from caffe_layers.base.shapes_only import ShapesOnly
from caffe_layers.data.python import Python
from converter.network.steps import read_layer
from prototxt import Net
from prototxt.blob_index import BlobIndex, Value
from prototxt.errors import CaffeError, UsageError, within
from prototxt.net import describe
from prototxt.upgrade import input_layer

from .source_inputs import quoted


def feed_tops(
    net: Net,
    shapes: Mapping[str, Shape],
    registry: Registry,
    dialect: str | None,
    *,
    sources: bool = True,
) -> tuple[Net, list[str]]:
    """Return the network with inputs in the place of the layers whose tops have a shape given.

    Such a layer is of an unknown type, is Python code, or is known and not computed here; the tops
    of others are no inputs. The outputs stay what they are: what only those layers needed goes. The
    notes name both. Without `sources`, layers without bottoms are left as they are: `deploy` makes
    inputs of those tops that predictions need.

    Raises UsageError where a layer has other tops that are read, and where one writes in place.
    """
    blobs = BlobIndex.of(net.layers)
    ends = {blobs.last(name) for name in net.outputs}
    layers = list(net.layers)
    fed: dict[int, list[str]] = {}
    for index, layer in enumerate(net.layers):
        if shapes.keys().isdisjoint(layer.top) or not (layer.bottom or sources):
            continue
        if _runs(layer, net, registry, dialect):
            continue
        read = [value.blob for value in blobs.tops[index] if blobs.readers(value) or value in ends]
        with within(net.place(index)):
            layers[index] = _as_fed(layer, read, shapes)
        fed[index] = list(layers[index].top)
    if not fed:
        return net, []
    roots = {
        index
        for index, layer in enumerate(net.layers)
        if (layer.bottom or index in fed) and _comes_out(blobs, index, ends)
    }
    wired = BlobIndex.of(layers)
    _, makers = wired.needed(value for index in roots for value in wired.bottoms[index])
    kept = roots | makers
    notes = [
        f"the input {quoted(tops)}, of the shape that is given, is in the place of "
        f"{describe(net.layers[index])}"
        for index, tops in fed.items()
    ]
    if gone := [layer for index, layer in enumerate(net.layers) if index not in kept]:
        notes.append(f"left out, for only that needed it: {', '.join(map(describe, gone))}")
    return replace(net, layers=layers).keeping(sorted(kept)), notes


def _runs(layer: Any, net: Net, registry: Registry, dialect: str | None) -> bool:
    """Tell whether a layer is computed here, or has inputs for its tops already."""
    try:
        cls, _ = read_layer(layer, net, None, dialect, registry)
    except CaffeError:
        return False
    foreign = issubclass(cls, (Refused, ShapesOnly)) or cls.caffe_type == Python.caffe_type
    return cls.is_source or not foreign


def _as_fed(layer: Any, read: Collection[str], shapes: Mapping[str, Shape]) -> Any:
    """Return the Input layer in a layer's place."""
    tops = [top for top in layer.top if top in read or top in shapes]
    if in_place := [top for top in tops if top in layer.bottom]:
        raise UsageError(
            f"{in_place[0]!r} is its bottom too, so its top cannot be fed",
            fix=f"--skip {layer.name} if it is the identity in testing",
        )
    if lacking := [top for top in tops if top not in shapes]:
        given = next(top for top in tops if top in shapes)
        raise UsageError(
            f"{given!r} is fed, and not {quoted(lacking)}, which comes out or is read too",
            fix=" ".join(f"--input-shape {top}=..." for top in lacking),
        )
    new = input_layer(tops)
    new.name = layer.name
    for top in tops:
        new.input_param.shape.add().dim.extend(shapes[top])
    return new


def _comes_out(blobs: BlobIndex, index: int, ends: Set[Value | None]) -> bool:
    """Tell whether a layer makes an output, or swallows what it reads."""
    tops = blobs.tops[index]
    if any(ends):
        return not ends.isdisjoint(tops)
    return not tops or any(not blobs.readers(value) for value in tops)
