"""Dtow, of RealSR: depth to width and back."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class Dtow(Layer, type="Dtow", fork="realsr", param="dtow_param"):
    """Pixel shuffling of N x C x H x W by s = `psize`.

    `method` MDTOW makes N x (C / (s s)) x (H s) x (W s): value `(i, j)` of an s x s block of
    channel c is channel `(c s + i) s + j` of the bottom. MWTOD is the way back.

    Errors: ShapeError for channels or sizes that do not divide, and a bottom without 4 axes.
    Caffe: csjcai/RealSR at f8c724a, Layer/Shuffle/dtow_layer.cpp
    """

    family = "shape"

    def __init__(self, *, psize: int = 2, method: str = "MDTOW") -> None:
        super().__init__()
        require(psize > 0, f"psize {psize}, wants 1 or more")
        self.psize, self.spreads = psize, method == "MDTOW"

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4: N x C x H x W")
        n, c, h, w = x
        s = self.psize
        if self.spreads:
            require(c % (s * s) == 0, f"bottom {x} has {c} channels, wants a multiple of {s * s}")
            return [(n, c // (s * s), h * s, w * s)]
        require(h % s == w % s == 0, f"bottom {x} wants sizes that psize {s} divides")
        return [(n, c * s * s, h // s, w // s)]

    def forward(self, x: Tensor) -> Tensor:
        shuffle = F.pixel_shuffle if self.spreads else F.pixel_unshuffle
        return shuffle(x, self.psize)

    def onnx(self, op: Op, x: str) -> Values:
        if self.spreads:
            return op.DepthToSpace(x, blocksize=self.psize, mode="CRD")
        blocks = op.SpaceToDepth(x, blocksize=self.psize)
        channels = np.arange(op.shape(op.tops[0])[1]).reshape(self.psize**2, -1)
        return op.Gather(blocks, op.ints(*channels.T.ravel().tolist()), axis=1)
