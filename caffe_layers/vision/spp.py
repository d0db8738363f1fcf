"""SPP, spatial pyramid pooling."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import torch
from torch import Tensor

from caffe_layers.arithmetic.pool import (
    Pool,
    ave_pool,
    max_pool,
    onnx_ave_pool,
    onnx_global_max,
    onnx_max_pool,
)
from caffe_layers.arithmetic.window import make_window
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError, UnsupportedError


class SPP(Layer, type="SPP", param="spp_param"):
    """Level l of `pyramid_height` levels pools N x C x H x W into about 2**l x 2**l bins.

    The top is N x (sum of the levels' C bins), level after level; a single level is not
    flattened: N x C x 1 x 1. Kernel and stride are `ceil(H / 2**l)`, and the padding,
    `(kernel 2**l - H + 1) / 2`, is on both sides; Pooling's rules may leave fewer bins.

    Errors: ShapeError for a bottom without 4 axes or too small for the levels; UnsupportedError
    for STOCHASTIC pooling.
    Caffe: BVLC/caffe, src/caffe/layers/spp_layer.cpp
    """

    family = "pooling"

    def __init__(self, *, pyramid_height: int, pool: str = "MAX") -> None:
        super().__init__()
        require(pyramid_height >= 1, f"pyramid_height {pyramid_height} wants 1 or more")
        if pool not in ("MAX", "AVE"):
            raise UnsupportedError(f"pool {pool!r} pads no window, wants MAX or AVE")
        self.pyramid_height, self.pool = pyramid_height, pool

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4: N x C x H x W")
        bins = []
        for pool in self._levels(x[2:]):
            for size, kernel, pad in zip(x[2:], pool.window.kernel, pool.window.pad, strict=True):
                if pad >= kernel:
                    raise ShapeError(
                        f"pyramid_height {self.pyramid_height}: {size} is too small for it"
                    )
            bins.append(pool.sizes(x[2:]))
        if self.pyramid_height == 1:
            return [(*x[:2], *bins[0])]
        return [(x[0], x[1] * sum(prod(sizes) for sizes in bins))]

    def _levels(self, spatial: Sequence[int]) -> Iterator[Pool]:
        # One by one: a height beyond what the image has is refused before its windows are made.
        for level in range(self.pyramid_height):
            bins = 2**level
            kernel = [-(-size // bins) for size in spatial]
            pad = [(k * bins - size + 1) // 2 for k, size in zip(kernel, spatial, strict=True)]
            yield Pool(make_window(kernel, kernel, pad))

    def forward(self, x: Tensor) -> Tensor:
        pooled = [
            max_pool(x, pool)[0] if self.pool == "MAX" else ave_pool(x, pool)
            for pool in self._levels(x.shape[2:])
        ]
        return pooled[0] if len(pooled) == 1 else torch.cat([y.flatten(1) for y in pooled], 1)

    def onnx(self, op: Op, x: str) -> Values:
        if self.pyramid_height == 1:
            return onnx_global_max(op, x) if self.pool == "MAX" else op.GlobalAveragePool(x)
        if any(op.dynamic(x)[2:]):
            raise UnsupportedError(
                f"the windows of {self.pyramid_height} levels depend on the image's size",
                fix="export with fixed height and width",
            )
        pool = onnx_max_pool if self.pool == "MAX" else onnx_ave_pool
        pooled = [op.Flatten(pool(op, x, level), axis=1) for level in self._levels(op.shape(x)[2:])]
        return op.Concat(*pooled, axis=1)
