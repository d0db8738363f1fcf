"""Caffe's layers as PyTorch modules.

Every layer lives in a file of its own and registers itself under its Caffe type; its family's
`__init__` names it. `caffe_layers.Convolution` and the others are plain `torch.nn.Module` classes.
"""

# ruff: noqa: F403  # each family's `__all__` says what comes of it

from __future__ import annotations

from .activation import *
from .base.filler import Filler
from .base.layer import LAYERS, Layer
from .base.op import Op, Py, Values
from .base.param_spec import ParamSpec
from .base.registry import build, find
from .base.shape import Shape
from .common import *
from .data import *
from .data.python import register_python
from .forks.attention import *
from .forks.binary import *
from .forks.c3d import *
from .forks.capsules import *
from .forks.crf import *
from .forks.deformable import *
from .forks.detectnet import *
from .forks.documents import *
from .forks.faces import *
from .forks.flownet import *
from .forks.greentea import *
from .forks.intel import *
from .forks.margins import *
from .forks.metric import *
from .forks.mobile import *
from .forks.mscnn import *
from .forks.norms import *
from .forks.openpose import *
from .forks.pose import *
from .forks.pruned import *
from .forks.python import *
from .forks.rcnn import *
from .forks.regions import *
from .forks.restoration import *
from .forks.ristretto import *
from .forks.segmentation import *
from .forks.sequence import *
from .forks.sknet import *
from .forks.ssd import *
from .forks.textboxes import *
from .forks.tricks import *
from .forks.tsn import *
from .forks.warping import *
from .forks.yolo import *
from .kernels.axpy import axpy
from .loss import *
from .memory import unfilled, weightless
from .normalization import *
from .recurrent import *
from .vision import *

__all__ = [
    "LAYERS",
    "Filler",
    "Layer",
    "Op",
    "ParamSpec",
    "Py",
    "Shape",
    "Values",
    "axpy",
    "build",
    "find",
    "register_python",
    "unfilled",
    "weightless",
    *(cls.__name__ for readings in LAYERS.values() for cls in readings.values()),
]
