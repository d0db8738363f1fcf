"""PyTorch's exported program (`torch.export`)."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch.export import Dim

from prototxt.atomic import writing

from ..arrays import random_inputs
from ..dynamic import AXES, dynamic_dims
from ..emit import exported_plan
from ..module import CaffeNet
from . import Options

SUFFIX = ".pt2"


def write(net: CaffeNet, path: Path, options: Options) -> list[str]:
    """Write the program of what an exported model computes, its free axes as in ONNX."""
    _, shapes = exported_plan(net, with_losses=options.with_losses)
    dims = dynamic_dims(net, shapes, options.dynamic)
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
    program = torch.export.export(net, (inputs,), dynamic_shapes=({**free},))
    # Not straight into the file: where the disk is full torch's writer ends the whole process.
    memory = BytesIO()
    torch.export.save(program, memory)
    with writing(path) as file:
        file.write(memory.getbuffer())
    return []
