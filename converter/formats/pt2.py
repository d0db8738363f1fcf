"""PyTorch's exported program (`torch.export`)."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch._dynamo.exc import UserError
from torch.export import Dim
from torch.fx.experimental.symbolic_shapes import is_concrete_int

from converter.network.example_inputs import random_inputs
from converter.network.net import CaffeNet
from converter.onnx.free_axes import AXES, dynamic_dims
from converter.text import format_shape
from prototxt.atomic import writing
from prototxt.errors import UnsupportedError

from . import Options, with_free_axes
from ._half import half_copy

SUFFIX = ".pt2"
HALF = True
PROGRAM = True


def write(net: CaffeNet, path: Path, options: Options) -> list[str]:
    """Write the program of what an exported model computes, its free axes as in ONNX."""
    if options.half:
        net = half_copy(net)
    exported = net.exported(with_losses=options.asked["with_losses"])
    shapes = exported.inputs
    dims, _ = with_free_axes(options, lambda dynamic: dynamic_dims(exported, net.layers, dynamic))
    free: dict[str, Any] = {
        name: {axis: Dim.DYNAMIC for axis, dim in enumerate(dims[name]) if isinstance(dim, str)}
        for name in shapes
    }
    inputs = random_inputs(net, seed=0)
    # A size of 1 would be taken for a constant.
    inputs = {
        name: torch.cat([value, value]) if value.dim() and AXES["batch"] in free[name] else value
        for name, value in inputs.items()
    }
    try:
        program = torch.export.export(net, (inputs,), dynamic_shapes=({**free},))
    except UserError:  # torch's trace depends on an axis: a recurrent layer's loop, on its steps
        auto = {name: dict.fromkeys(axes, Dim.AUTO) for name, axes in free.items()}
        inputs = {name: torch.zeros(shape, dtype=net.dtype) for name, shape in shapes.items()}
        try:
            program = torch.export.export(net, (inputs,), dynamic_shapes=(auto,))
        except UserError as error:
            why = str(error).partition("\n")[0]
            raise UnsupportedError(f"{path.name}: torch.export cannot trace it: {why}") from None
    # Not straight into the file: where the disk is full torch's writer ends the whole process.
    memory = BytesIO()
    torch.export.save(program, memory)
    with writing(path) as file:
        file.write(memory.getbuffer())
    fixed = [
        f"axis {axis} of {name} at {inputs[name].shape[axis]}"
        for name, taken in _inputs(program).items()
        for axis in free[name]
        if is_concrete_int(taken[axis])
    ]
    if options.asked["dynamic"] is None and not any(free.values()):
        fixed = [f"{name} of {format_shape(inputs[name].shape)}" for name in free]
    notes = [f"{path.name} takes only {', '.join(fixed)}"] if fixed else []
    return [*notes, f"{path.name} takes and gives float16"] if options.half else notes


def _inputs(program: torch.export.ExportedProgram) -> dict[str, torch.Size]:
    """Return the shapes of the program's inputs: an axis that is free is no int."""
    (taken,), _ = torch.utils._pytree.tree_unflatten(
        [
            node.meta["val"].shape
            for node in program.graph.nodes
            if node.name in program.graph_signature.user_inputs
        ],
        program.call_spec.in_spec,
    )
    return dict(taken)
