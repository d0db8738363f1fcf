"""The network and its weights as Caffe loads them."""

from __future__ import annotations

from pathlib import Path

from converter.loading.save import save_caffemodel
from converter.network.net import CaffeNet

from . import Options

SUFFIX = ".caffemodel"
HALF = False
PROGRAM = False


def write(net: CaffeNet, path: Path, options: Options) -> list[str]:
    """Write the caffemodel."""
    save_caffemodel(net, path)
    return []
