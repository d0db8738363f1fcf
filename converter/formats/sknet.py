"""The weights of the native PyTorch SKNet."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from converter.network.net import CaffeNet
from converter.sknet.recognize import arguments, from_net

from . import Options
from ._half import half_tensors, statistics_of
from ._safetensors import write_safetensors

SUFFIX = ".sknet.safetensors"
HALF = True
PROGRAM = False
HEEDS: frozenset[str] = frozenset()


def write(net: CaffeNet, path: Path, options: Options) -> list[str]:
    """Write the state_dict of `converter.sknet.SKNet`; the note says how to build the model.

    Raises UnsupportedError for a network that is no SKNet.
    """
    call = ", ".join(f"{name}={value!r}" for name, value in arguments(net).items())
    call = f"SKNet({call})"
    model = from_net(net)
    state: dict[str, Tensor] = model.state_dict()
    kept: list[str] = []
    if options.half:
        state, kept = half_tensors(state, statistics_of(model))
    write_safetensors(state, path, {"format": "pt", "model": call})
    notes = [f"{path.name} is the state_dict of converter.sknet.{call}"]
    return notes + [f"{path.name}: {note}" for note in kept]
