"""A network's `input`, `input_dim` and `input_shape` to an Input layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from prototxt.errors import FormatError, within
from prototxt.net import Net, copied
from prototxt.schema import dialect

DIMS = 4  # input_dim gives so many for each input
FIELDS = ("input", "input_shape", "input_dim")


def to_layer(net: Net) -> Net:
    """Put an Input layer in front; shapes win over dims, and names without either go away.

    So do those whose sizes did not all read.
    """
    old: Any = net.header
    if not old.input:
        return net
    header = copied(old)
    for name in FIELDS:
        header.ClearField(name)
    sizes = {fault.path.partition(".")[0] for fault in net.faults if not fault.messages}
    if not (old.input_shape or old.input_dim) or not sizes.isdisjoint(FIELDS[1:]):
        dropped = [*net.dropped, f"input {', '.join(old.input)}: no shape"]
        return replace(net, header=header, dropped=dropped, shapeless=list(old.input))
    with within(net.source):
        require_as_many(old)
    layer = input_layer(old.input)
    for index in range(len(old.input)):
        shape = layer.input_param.shape.add()
        if old.input_shape:
            shape.dim.extend(old.input_shape[index].dim)  # a fork's header has a class of its own
        else:
            shape.dim.extend(old.input_dim[index * DIMS : (index + 1) * DIMS])
    return in_front(replace(net, header=header), layer)


def declare_shapeless(net: Net, shapes: Mapping[str, Sequence[int]]) -> Net:
    """Put Input layers in front for inputs that layers read but the definition does not make.

    They are those that an upgrade left out for want of a shape, and those that `shapes` names: a
    snapshot's data layer is gone in the other phase. Caffe itself runs no such network.
    """
    for name in reversed(list(dict.fromkeys([*net.shapeless, *shapes]))):
        readers = (layer for layer in net.layers if name in layer.bottom or name in layer.top)
        first: Any = next(readers, None)
        if first is None or name not in first.bottom:
            continue
        layer = input_layer([name])
        layer.name = name
        if name in shapes:
            layer.input_param.shape.add().dim.extend(shapes[name])
        net = in_front(net, layer)
    return net


def input_layer(tops: Iterable[str]) -> Any:
    layer: Any = dialect("bvlc").message("LayerParameter")()
    layer.name, layer.type = "input", "Input"
    layer.top.extend(tops)
    return layer


def in_front(net: Net, layer: Any) -> Net:
    lines = [1, *net.lines] if net.lines else []
    return replace(net, layers=[layer, *net.layers], lines=lines)


def require_as_many(header: Any) -> None:
    """Raise FormatError for sizes that are too few, and for some that nothing would read."""
    inputs, shapes, dims = len(header.input), len(header.input_shape), len(header.input_dim)
    if shapes and shapes != inputs:
        raise FormatError(f"{shapes} input_shape for {inputs} input, wants one for each")
    if not shapes and dims != DIMS * inputs:
        raise FormatError(
            f"{dims} input_dim for {inputs} input, wants {DIMS} for each",
            fix="an input of other axes has an input_shape { dim: ... }",
        )
