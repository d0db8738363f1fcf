"""Weights by the names of timm's models of SKNet-50 and of SENet's released networks."""

from __future__ import annotations

from pathlib import Path

from converter.network.net import CaffeNet
from converter.timm_names import timm_state_dict

from . import Options
from ._half import half_tensors
from ._safetensors import write_safetensors

SUFFIX = ".timm.safetensors"
HALF = True
PROGRAM = False
HEEDS: frozenset[str] = frozenset()


def write(net: CaffeNet, path: Path, options: Options) -> list[str]:
    """Write the state_dict; the notes say which model loads it, and how it is fed.

    Raises UnsupportedError, saying why, where timm has no such model.
    """
    model, state = timm_state_dict(net)
    tensors = {key: value.contiguous() for key, value in state.items()}
    kept: list[str] = []
    if options.half:
        tensors, kept = half_tensors(tensors, {key for key in tensors if "running_" in key})
    write_safetensors(tensors, path, {"format": "pt", "model": model})
    call = f"timm.create_model({model!r}, num_classes={_classes(net)})"
    return [
        f"{path.name} is the state_dict of {call}, which gives Caffe's scores "
        "after converter.timm_names.caffe_stem (it pools as Caffe does) and for Caffe's images "
        "(BGR, less their mean)",
        *(f"{path.name}: {note}" for note in kept),
    ]


def _classes(net: CaffeNet) -> int:
    """Return how many scores the network gives."""
    exported = net.exported()
    (scores,) = exported.plan.outputs.values()
    return exported.shapes[scores][1]
