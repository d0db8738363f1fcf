"""NdPooling, of video-caffe."""

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
from prototxt.errors import UnsupportedError

from .nd import shaped_window


class NdPooling(Layer, type="NdPooling", fork="video_caffe", param="pooling_param"):
    """Pooling by MAX or AVE over images or volumes, whose window is given by shapes.

    `kernel_shape`, `stride_shape` and `pad_shape` have a `dim` for each axis behind the channels';
    with `global_pooling` the kernel is the bottom's size. Sizes round up, and along an axis with
    padding a last window that would start beyond it is dropped; AVE counts the padding.

    Errors: ShapeError for shapes of other lengths, for an empty top and a window wholly beyond the
    bottom; UnsupportedError for STOCHASTIC, which the fork lacks, for 1 axis or more than 3, and
    for AVE whose last windows hang over the end, which cuDNN is not asked for.
    Caffe: chuckcho/video-caffe at fc232b3, src/caffe/layers/cudnn_ndpooling_layer.cpp
    """

    family = "pooling"

    def __init__(
        self, *, kernel_size: Sizes, pool: str = "MAX", stride: Sizes = 1, pad: Sizes = 0
    ) -> None:
        super().__init__()
        if pool == "STOCHASTIC":
            raise UnsupportedError("STOCHASTIC pooling, which video-caffe lacks")
        self.pool = pool
        self.window = make_window(kernel_size, stride, pad)
        axes = len(self.window.kernel)
        if axes not in (2, 3):
            raise UnsupportedError(f"pooling over {axes} axes, wants 2 or 3")
        for size, margin in zip(self.window.kernel, self.window.pad, strict=True):
            require(margin < size, f"pad {margin} wants to be less than the kernel, {size}")
        self.places = Pool(self.window)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> NdPooling:
        param, x = layer.pooling_param, bottoms[0]
        window = shaped_window(param, x)
        if param.global_pooling:
            window["kernel_size"] = x[2:]
        return cls(**cls.fields(layer, **window))

    @property
    def details(self) -> list[str]:
        return [self.pool, *self.window.details()]

    def shapes(self, x: Shape) -> list[Shape]:
        axes = len(self.window.kernel) + 2
        require(len(x) == axes, f"bottom {x} has {len(x)} axes, the layer wants {axes}")
        top = (*x[:2], *self.places.sizes(x[2:]))
        require(min(top) > 0, f"the top would be {top}: {self.window.kernel} does not fit {x}")
        rows = zip(x[2:], top[2:], *self.window[:3], strict=True)
        for size, count, kernel, stride, pad in rows:
            # Along an axis without padding the fork drops none.
            full = count if pad else -((kernel - size) // stride) + 1
            start = (full - 1) * stride - pad
            require(start < size, f"stride {stride} leaves a window beyond the bottom {x}")
            if self.pool == "AVE" and start + kernel > size + pad:
                raise UnsupportedError(f"AVE pooling whose window hangs over the end of {x}")
        return [top]

    def forward(self, x: Tensor) -> Tensor:
        return max_pool(x, self.places)[0] if self.pool == "MAX" else ave_pool(x, self.places)

    def onnx(self, op: Op, x: str) -> Values:
        if self.pool == "MAX":
            return onnx_max_pool(op, x, self.places)
        return onnx_ave_pool(op, x, self.places)

    def python(self, py: Py, x: str) -> str:
        return pool_source(py, x, self.places, self.pool)
