"""The weights of the native PyTorch SKNet."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import save_file

from prototxt.atomic import replacing

from ..module import CaffeNet
from ..sknet.recognize import arguments, from_net
from . import Options

SUFFIX = ".sknet.safetensors"


def write(net: CaffeNet, path: Path, options: Options) -> list[str]:
    """Write the state_dict of `converter.sknet.SKNet`; the note says how to build the model.

    Raises UnsupportedError for a network that is no SKNet.
    """
    call = ", ".join(f"{name}={value!r}" for name, value in arguments(net).items())
    call = f"SKNet({call})"
    with replacing(path) as temporary:
        save_file(from_net(net).state_dict(), temporary, {"format": "pt", "model": call})
    return [f"{path.name} is the state_dict of converter.sknet.{call}"]
