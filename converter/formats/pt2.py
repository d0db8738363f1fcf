"""PyTorch's exported program (`torch.export`)."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.export import Dim

from caffe_layers import Shape
from caffe_layers.base.private_torch import argument_shapes, is_fixed, trace_error
from converter.network.example_inputs import random_inputs
from converter.network.net import CaffeNet
from converter.onnx.free_axes import AXES, dynamic_dims, fixed_axes, with_free_axes
from converter.text import format_shape
from prototxt.atomic import writing
from prototxt.errors import UnsupportedError, headline

from . import Options
from ._half import half_copy

SUFFIX = ".pt2"
HALF = True
PROGRAM = True
HEEDS = frozenset({"dynamic", "with_losses", "half_io"})


Free = dict[str, dict[int, Any]]
"""What is said of the free axes of each input."""


def write(net: CaffeNet, path: Path, options: Options) -> list[str]:
    """Write the program of what an exported model computes, its free axes as in ONNX."""
    if options.half:
        net = half_copy(net)
    exported = net.exported(with_losses=options.asked["with_losses"])
    shapes = exported.inputs
    dims, refused = with_free_axes(
        options.asked["dynamic"], lambda dynamic: dynamic_dims(exported, net.layers, dynamic)
    )
    free: Free = {
        name: {axis: Dim.DYNAMIC for axis, dim in enumerate(dims[name]) if isinstance(dim, str)}
        for name in shapes
    }
    inputs = {
        # A size of 1 would be taken for a constant.
        name: torch.cat([value, value]) if value.dim() and AXES["batch"] in free[name] else value
        for name, value in random_inputs(net, 0, losses=options.asked["with_losses"]).items()
    }
    program = _trace(net, inputs, shapes, free, path)
    # Not straight into the file: where the disk is full torch's writer ends the whole process.
    memory = BytesIO()
    torch.export.save(program, memory)
    with writing(path) as file:
        file.write(memory.getbuffer())
    taken: dict[str, Shape]
    (taken,) = argument_shapes(program)
    fixed = [
        f"axis {axis} of {name} at {shape[axis]}"
        for name, shape in taken.items()
        for axis in free[name]
        if is_fixed(shape[axis])
    ]
    notes = fixed_axes(path.name, refused) if any(free.values()) else []
    if refused and not any(free.values()):
        fixed = [f"{name} of {format_shape(shape)}" for name, shape in taken.items()]
    notes += [f"{path.name} takes only {', '.join(fixed)}"] if fixed else []
    return [*notes, f"{path.name} takes and gives float16"] if options.half else notes


def _trace(
    net: CaffeNet,
    inputs: Mapping[str, Tensor],
    shapes: Mapping[str, Shape],
    free: Free,
    path: Path,
) -> torch.export.ExportedProgram:
    """Return the network's program, its axes free where torch's trace allows it."""
    try:
        return torch.export.export(net, (dict(inputs),), dynamic_shapes=(free,))
    except trace_error():  # the trace depends on an axis: a recurrent layer's loop, on its steps
        pass
    auto = {name: dict.fromkeys(axes, Dim.AUTO) for name, axes in free.items()}
    zeros = {name: torch.zeros(shape, dtype=net.dtype) for name, shape in shapes.items()}
    try:
        return torch.export.export(net, (zeros,), dynamic_shapes=(auto,))
    except trace_error() as error:
        why = headline(error)
        raise UnsupportedError(f"{path.name}: torch.export cannot trace it: {why}") from None
