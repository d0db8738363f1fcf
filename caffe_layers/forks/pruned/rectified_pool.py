"""ReLU and MAX pooling in one, of SkimCaffe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from caffe_layers.arithmetic.pool import Pool, max_pool, onnx_max_pool
from caffe_layers.arithmetic.window import Window, make_window
from caffe_layers.base.checks import require
from caffe_layers.base.message import enum_name
from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape
from caffe_layers.vision.pooling_param import read_kernel, read_round_mode, read_sizes
from prototxt.errors import UnsupportedError


class RectifiedPool:
    """What `pooling_param` says, of maxima that begin at 0: of images N x C x H x W.

    Raises ShapeError for windows as Pooling does; UnsupportedError for a `pool` other than MAX and
    for a `relu_param` with a slope, which SkimCaffe lacks.
    """

    def __init__(self, layer: Any) -> None:
        param = layer.pooling_param
        require_flat(layer)
        if (method := enum_name(param, "pool")) != "MAX":
            raise UnsupportedError(f"{method} pooling behind a ReLU, which SkimCaffe itself lacks")
        kernel = read_kernel(param, 2)
        stride, pad = (read_sizes(param, name, 2) for name in ("stride", "pad"))
        self.ceil = read_round_mode(param) == "CEIL"
        self.window: Window | None = None
        if kernel is None:
            plain = (stride, pad) == ((1, 1), (0, 0))
            require(plain, f"global_pooling wants stride 1 and pad 0, got {stride} and {pad}")
            return
        self.window = make_window(kernel, stride, pad)
        for size, margin in zip(kernel, pad, strict=True):
            require(margin < size, f"pad {margin} wants to be less than the kernel, {size}")

    def top(self, x: Shape) -> Shape:
        """Return the top's shape."""
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4: N x C x H x W")
        pool = self._pool(x[2:])
        top = (*x[:2], *pool.sizes(x[2:]))
        require(min(top) > 0, f"the top would be {top}: kernel {pool.window.kernel} is too large")
        return top

    def _pool(self, spatial: Sequence[int]) -> Pool:
        return Pool(self.window or make_window(tuple(spatial)), self.ceil)

    def __call__(self, x: Tensor) -> Tensor:
        return F.relu(max_pool(x, self._pool(x.shape[2:]))[0])

    def onnx(self, op: Op, x: str, *, inner: bool = False) -> str:
        """Append what a call does; `inner` says that x is a layer's own value."""
        if self.window is None:
            return op.Relu(op.GlobalMaxPool(x))
        return op.Relu(onnx_max_pool(op, x, self._pool(()), inner=inner))


def require_flat(layer: Any) -> None:
    """Raise UnsupportedError for a slope of the fused ReLU, which SkimCaffe lacks."""
    if slope := layer.relu_param.negative_slope:
        raise UnsupportedError(f"negative_slope {slope:g}, which SkimCaffe's fused layers lack")
