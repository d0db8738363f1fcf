"""The weights of the native PyTorch SKNet."""

from __future__ import annotations

from pathlib import Path

from ..module import CaffeNet
from ..safetensors_file import write_safetensors
from ..sknet.recognize import arguments, from_net
from . import Options

SUFFIX = ".sknet.safetensors"


def write(net: CaffeNet, path: Path, options: Options) -> list[str]:
    """Write the state_dict of `converter.sknet.SKNet`; the note says how to build the model.

    Raises UnsupportedError for a network that is no SKNet.
    """
    call = ", ".join(f"{name}={value!r}" for name, value in arguments(net).items())
    call = f"SKNet({call})"
    write_safetensors(from_net(net).state_dict(), path, {"format": "pt", "model": call})
    return [f"{path.name} is the state_dict of converter.sknet.{call}"]
