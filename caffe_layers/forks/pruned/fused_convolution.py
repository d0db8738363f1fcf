"""Convolutions with what follows them in one layer, of SkimCaffe."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor
from typing_extensions import Required, Unpack

from caffe_layers.base.checks import require
from caffe_layers.base.fields import arguments_of, read_fields
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.normalization.local_response import emit_response_across, response_across
from caffe_layers.vision.base_conv import WindowFields, onnx_conv_pads
from caffe_layers.vision.cross_correlation import CrossCorrelation
from prototxt.errors import UnsupportedError

from .rectified_pool import RectifiedPool, require_flat


class ConvolutionReLU(
    CrossCorrelation,
    type="ConvolutionReLU",
    fork="skimcaffe",
    bottoms=(1, None),
    tops=(1, None),
):
    """Convolution and a ReLU behind it. Blobs are Convolution's.

    `conv_mode` says how sparse weights are multiplied, which changes no value.

    Errors: those of Convolution; UnsupportedError for a slope of the ReLU, which SkimCaffe lacks.
    Caffe: IntelLabs/SkimCaffe at 2f66b5a, src/caffe/layers/conv_relu_layer.cpp
    """

    @classmethod
    def fields(cls, layer: Any, **computed: object) -> dict[str, Any]:
        require_flat(layer)
        return super().fields(layer, **computed)

    def convolve(self, x: Tensor) -> Tensor:
        return F.relu(super().convolve(x))

    def onnx(self, op: Op, *bottoms: str) -> Values:
        return [op.Relu(top) for top in super().onnx(op, *bottoms)]


class PooledWindowFields(WindowFields, total=False):
    """What a convolution with a pooling behind it is told: `ConvolutionReLUPool`'s keywords."""

    pool: Required[RectifiedPool]


class ConvolutionReLUPool(CrossCorrelation, type="ConvolutionReLUPool", fork="skimcaffe"):
    """Convolution, a ReLU and MAX Pooling by `pooling_param`. Blobs are Convolution's.

    Errors: those of Convolution and of `RectifiedPool`.
    Caffe: IntelLabs/SkimCaffe at 2f66b5a, src/caffe/layers/conv_relu_pool_layer.cpp
    """

    def __init__(
        self, channels: int, *, pool: RectifiedPool, **window: Unpack[WindowFields]
    ) -> None:
        super().__init__(channels, **window)
        self.pool = pool

    @classmethod
    def fields(cls, layer: Any, **computed: object) -> dict[str, Any]:
        return super().fields(layer, pool=RectifiedPool(layer), **computed)

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        return [self.pool.top(top) for top in super().shapes(*bottoms)]

    def convolve(self, x: Tensor) -> Tensor:
        return self.pool(super().convolve(x))

    def onnx(self, op: Op, *bottoms: str) -> Values:
        (x,) = bottoms
        pads = onnx_conv_pads(op, x, self.drawn_window(), self.axis)
        (top,) = super().shapes(op.shape(x))
        slid = self.onnx_one(op, "Conv", x, self.onnx_weights(op), top, pads)
        return self.pool.onnx(op, slid, inner=True)


class Response:
    """What `lrn_param` says, of LRN across channels, which alone SkimCaffe fuses."""

    def __init__(
        self,
        *,
        local_size: int = 5,
        alpha: float = 1.0,
        beta: float = 0.75,
        norm_region: str = "ACROSS_CHANNELS",
        k: float = 1.0,
    ) -> None:
        require(local_size % 2 == 1, f"local_size {local_size} is even, wants a middle")
        if norm_region != "ACROSS_CHANNELS":
            raise UnsupportedError(f"norm_region {norm_region}, which SkimCaffe does not fuse")
        self.numbers = (local_size, float32(alpha), float32(beta), float32(k))


class ConvolutionReLUPoolLRN(ConvolutionReLUPool, type="ConvolutionReLUPoolLRN", fork="skimcaffe"):
    """ConvolutionReLUPool, and LRN across channels by `lrn_param` behind it.

    Errors: those of ConvolutionReLUPool and of LRN; UnsupportedError for WITHIN_CHANNEL.
    Caffe: IntelLabs/SkimCaffe at 2f66b5a, src/caffe/layers/conv_relu_pool_lrn_layer.cpp
    """

    def __init__(
        self, channels: int, *, response: Response, **window: Unpack[PooledWindowFields]
    ) -> None:
        super().__init__(channels, **window)
        self.response = response

    @classmethod
    def fields(cls, layer: Any, **computed: object) -> dict[str, Any]:
        said = read_fields(layer.lrn_param, arguments_of(Response))
        return super().fields(layer, response=Response(**said), **computed)

    def convolve(self, x: Tensor) -> Tensor:
        return response_across(super().convolve(x), *self.response.numbers)

    def onnx(self, op: Op, *bottoms: str) -> Values:
        pooled = super().onnx(op, *bottoms)
        assert isinstance(pooled, str)
        return emit_response_across(op, pooled, *self.response.numbers)
