"""Pooling3D, of C3D."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from caffe_layers.arithmetic.pool import (
    Pool,
    ave_pool,
    max_pool,
    onnx_ave_pool,
    onnx_max_pool,
    pool_source,
)
from caffe_layers.arithmetic.window import Sizes, make_window
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError, UnsupportedError

from .volume import require_volume, volume_window


class Pooling3D(Layer, type="Pooling3D", fork="c3d", param="pooling_param"):
    """The largest value (MAX) or the mean (AVE) of each window of a volume N x C x L x H x W.

    A window is `kernel_depth` long and `kernel_size` high and wide, moved by `temporal_stride` and
    `stride`. There are `ceil((H + 2 pad - kernel) / stride) + 1` along the height, alike along the
    others, of which the length has no padding; none is dropped. Only AVE takes padding, and divides
    by the window's size up to H + pad.

    Errors: ShapeError for a bottom without 5 axes, padding for MAX, an empty top, or a window
    wholly outside of the padding, whose mean would be of nothing; UnsupportedError for STOCHASTIC,
    which C3D lacks too.
    Caffe: facebookarchive/C3D at 71336a2, C3D-v1.0/src/caffe/layers/pool3d_layer.cpp
    """

    family = "pooling"

    def __init__(
        self,
        *,
        kernel_size: Sizes,
        pool: str = "MAX",
        stride: Sizes = 1,
        pad: Sizes = 0,
    ) -> None:
        super().__init__()
        if pool == "STOCHASTIC":
            raise UnsupportedError("STOCHASTIC pooling of volumes, which C3D itself lacks")
        self.pool = pool
        self.window = make_window(kernel_size, stride, pad)
        padded = any(self.window.pad)
        require(pool == "AVE" or not padded, f"pad {self.window.pad}, which only AVE takes here")
        self.places = Pool(self.window, drops=False)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Pooling3D:
        return cls(**cls.fields(layer, **volume_window(getattr(layer, cls.param))))

    @property
    def details(self) -> list[str]:
        return [self.pool, *self.window.details()]

    def shapes(self, x: Shape) -> list[Shape]:
        require_volume(x)
        top = (*x[:2], *self.places.sizes(x[2:]))
        if min(top) < 1:
            raise ShapeError(f"the top would be {top}: {self.window.kernel} does not fit {x}")
        for size, count, stride, pad in zip(
            x[2:], top[2:], self.window.stride, self.window.pad, strict=True
        ):
            outside = (count - 1) * stride - pad >= size + pad
            require(not outside, f"stride {stride} leaves a window beyond the bottom {x}")
        return [top]

    def forward(self, x: Tensor) -> Tensor:
        return max_pool(x, self.places)[0] if self.pool == "MAX" else ave_pool(x, self.places)

    def onnx(self, op: Op, x: str) -> Values:
        if self.pool == "MAX":
            return onnx_max_pool(op, x, self.places)
        return onnx_ave_pool(op, x, self.places)

    def python(self, py: Py, x: str) -> str:
        return pool_source(py, x, self.places, self.pool)


class NamedPooling3D(Pooling3D, type="Pooling3D", fork="c3d_11", param="pooling3d_param"):
    """C3D 1.1's, whose numbers stand in a message of their own.

    Caffe: facebookarchive/C3D at 71336a2, C3D-v1.1/src/caffe/layers/pool3d_layer.cpp
    """
