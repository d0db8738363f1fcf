"""Safetensors: the state_dict, its keys without `layers.` and without quoting."""

from __future__ import annotations

from pathlib import Path

import torch

from converter.network.layers import unquote
from converter.network.net import CaffeNet

from . import Options
from ._half import half_tensors
from ._safetensors import write_safetensors

SUFFIX = ".safetensors"
HALF = True
PROGRAM = False
HEEDS: frozenset[str] = frozenset()


def write(net: CaffeNet, path: Path, options: Options) -> list[str]:
    """Write every blob as `LAYER.BLOB`; one that layers share stands under its owner's name.

    In half precision running statistics that float16 does not hold stay in float32.
    """
    tensors: dict[str, torch.Tensor] = {}
    aliases: dict[str, str] = {}
    owners: dict[int, str] = {}
    statistics: set[str] = set()
    for key, value in net.state_dict(keep_vars=True).items():
        layer, _, blob = key.removeprefix("layers.").rpartition(".")
        name = f"{unquote(layer)}.{blob}"
        if id(value) in owners:
            aliases[name] = owners[id(value)]
        else:
            owners[id(value)] = name
            tensors[name] = value.detach().contiguous()
            if not isinstance(value, torch.nn.Parameter):
                statistics.add(name)
    notes = [f"{name} is {owner}" for name, owner in aliases.items()]
    if options.half:
        tensors, kept = half_tensors(tensors, statistics)
        notes += [f"{path.name}: {note}" for note in kept]
    write_safetensors(tensors, path, {"format": "pt", **aliases})
    return notes
