"""PixelConv, of RealSR: a kernel of its own for each pixel."""

from __future__ import annotations

from math import isqrt

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError


class PixelConv(Layer, type="PixelConv", fork="realsr", param="pixelconvolution_param", bottoms=2):
    """`top[n, c, p]` is the sum over K x K places k of `kernels[n, c K K + k, p] x[n, c, p + k]`.

    kernels are N x (C K K) x H x W and the first bottom, x is N x C x H x W; places are counted
    from `-(K - 1) / 2` on, row by row, and are 0 outside of the image. Without `is_bpk` the kernels
    get no gradient, without `is_bpd` x gets none.

    Errors: ShapeError for sizes that do not fit, and an even K; UnsupportedError without `is_pad`,
    where Caffe's layer never sets its padding.
    Caffe: csjcai/RealSR at f8c724a, Layer/KPL/PixelConv_layer.cpp
    """

    def __init__(self, *, is_pad: bool = True, is_bpk: bool = True, is_bpd: bool = True) -> None:
        super().__init__()
        if not is_pad:
            raise UnsupportedError("is_pad is false: Caffe's layer then never sets its padding")
        self.is_bpk, self.is_bpd = is_bpk, is_bpd

    def shapes(self, kernels: Shape, x: Shape) -> list[Shape]:
        for name, shape in (("kernels", kernels), ("x", x)):
            require(len(shape) == 4, f"{name} {shape} has {len(shape)} axes, wants 4")
        size = self.size(kernels[1], x[1])
        want = (x[0], x[1] * size * size, *x[2:])
        require(size % 2 == 1, f"kernels are {size} x {size}, wants an odd size")
        require(kernels == want, f"kernels are {kernels}, wants {want} for x {x}")
        return [x]

    @staticmethod
    def size(kernels: int, channels: int) -> int:
        """Return K, given the channels of both bottoms."""
        return isqrt(kernels // channels)

    def forward(self, kernels: Tensor, x: Tensor) -> Tensor:
        kernels = kernels if self.is_bpk else kernels.detach()
        x = x if self.is_bpd else x.detach()
        n, c, h, w = x.shape
        k = self.size(kernels.shape[1], c)
        each = kernels.view(n, c, k, k, h, w)
        # Its columns side by side, as views: N x C x (H + K - 1) x W x K.
        columns = F.pad(x, (k // 2,) * 4).unfold(3, k, 1)
        top = x.new_zeros(())
        for row in range(k):  # one at a time: all K K places at once take K times the memory
            moved = columns[:, :, row : row + h].movedim(4, 2)
            top = top + (each[:, :, row] * moved).sum(2)
        return top

    def onnx(self, op: Op, kernels: str, x: str) -> Values:
        channels = op.shape(x)[1]
        k = self.size(op.shape(kernels)[1], channels)
        away = k // 2
        # Columns side by side, by kernels of a single 1: N x (C K) x (H + K - 1) x W.
        ones = op.array("columns", np.tile(np.eye(k), (channels, 1)).reshape(-1, 1, 1, k))
        pads = [2 * away - away, away, away, away]
        columns = op.Conv(x, ones, kernel_shape=[1, k], pads=pads, group=channels)
        parts = []
        for row in range(k):
            end = row - k + 1 or np.iinfo(np.int64).max
            moved = op.Slice(columns, op.ints(row), op.ints(int(end)), op.ints(2))
            places = [(c * k + row) * k + j for c in range(channels) for j in range(k)]
            parts.append(op.Mul(moved, op.Gather(kernels, op.ints(*places), axis=1)))
        total = op.Sum(*parts) if k > 1 else parts[0]
        adding = op.array("adding", np.ones((channels, k, 1, 1)))
        return op.Conv(total, adding, kernel_shape=[1, 1], group=channels)

    def multiply_adds(self, bottoms: list[Shape], tops: list[Shape]) -> int:
        n, channels, h, w = bottoms[0]
        return n * channels * h * w
