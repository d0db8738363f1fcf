"""A network's `input`, `input_dim` and `input_shape` to an Input layer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from prototxt import schema
from prototxt.errors import FormatError, within
from prototxt.net import Net

DIMS = 4  # input_dim gives so many for each input
FIELDS = ("input", "input_shape", "input_dim")


def to_layer(net: Net) -> Net:
    """Put an Input layer in front; shapes win over dims, and names without either go away."""
    old: Any = net.header
    if not old.input:
        return net
    header: Any = type(old)()
    header.CopyFrom(old)
    for name in FIELDS:
        header.ClearField(name)
    if not old.input_shape and not old.input_dim:
        lost = f"input {', '.join(old.input)}: no shape"
        return replace(net, header=header, dropped=[*net.dropped, lost])
    with within(net.source):
        require_enough(old)
    layer: Any = schema.dialect("bvlc").message("LayerParameter")()
    layer.name, layer.type = "input", "Input"
    for index, name in enumerate(old.input):
        layer.top.append(name)
        shape = layer.input_param.shape.add()
        if old.input_shape:
            shape.CopyFrom(old.input_shape[index])
        else:
            shape.dim.extend(old.input_dim[index * DIMS : (index + 1) * DIMS])
    lines = [1, *net.lines] if net.lines else []
    return replace(net, header=header, layers=[layer, *net.layers], lines=lines)


def require_enough(header: Any) -> None:
    inputs, shapes, dims = len(header.input), len(header.input_shape), len(header.input_dim)
    if shapes and shapes < inputs:
        raise FormatError(f"{shapes} input_shape for {inputs} input, wants one for each")
    if not shapes and dims < DIMS * inputs:
        raise FormatError(f"{dims} input_dim for {inputs} input, wants {DIMS} for each")
