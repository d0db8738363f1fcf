"""Caffe's layers as PyTorch modules.

Every layer lives in a file of its own, registers itself under its Caffe type and is found here by
itself; `caffe_layers.Convolution` and the others are plain `torch.nn.Module` classes.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import walk_packages

from .base.filler import Filler
from .base.layer import LAYERS, Layer, ParamSpec, unfilled
from .base.registry import build, find
from .base.shape import Shape
from .data.python import register_python
from .kernels.axpy import axpy

for _module in walk_packages(__path__, f"{__name__}."):
    if not _module.name.startswith(f"{__name__}.kernels.programs."):  # these need Triton
        import_module(_module.name)

globals().update({cls.__name__: cls for readings in LAYERS.values() for cls in readings.values()})

__all__ = [
    "LAYERS",
    "Filler",
    "Layer",
    "ParamSpec",
    "Shape",
    "axpy",
    "build",
    "find",
    "register_python",
    "unfilled",
]
