"""EltwiseAffine, from happynear."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

SLOPE, BIAS = Filler(value=1.0001), Filler(value=0.0001)
"""Where nothing is said: nearly what changes nothing."""


class EltwiseAffine(Layer, type="EltwiseAffine", fork="happynear", param="eltwise_affine_param"):
    """`top = slope * x + bias`, per channel of N x C x ..., or by one pair with `channel_shared`.

    Blobs: slope C and bias C, or two numbers without axes.

    Errors: ShapeError for one axis, and for other channels.
    Caffe: happynear/caffe-windows, src/caffe/layers/eltwise_affine_layer.cpp
    """

    family = "scale"

    def __init__(
        self,
        channels: int,
        *,
        slope_filler: Filler = SLOPE,
        bias_filler: Filler = BIAS,
        channel_shared: bool = False,
    ) -> None:
        super().__init__()
        shape = () if channel_shared else (channels,)
        self.add_blob("slope", shape, slope_filler)
        self.add_blob("bias", shape, bias_filler)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> EltwiseAffine:
        x = bottoms[0]
        require(len(x) >= 2, f"bottom {x} has {len(x)} axes, wants 2 or more")
        return cls(x[1], **cls.fields(layer))

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) >= 2, f"bottom {x} has {len(x)} axes, wants 2 or more")
        if tuple(self.slope.shape) not in {(), x[1:2]}:
            raise ShapeError(f"bottom {x} has {x[1]} channels, the layer {self.slope.numel()}")
        return [x]

    def _spread(self, rank: int) -> tuple[int, ...]:
        return (-1, *(1,) * (rank - 2)) if self.slope.dim() else ()

    def forward(self, x: Tensor) -> Tensor:
        shape = self._spread(x.dim())
        top: Tensor = x * self.slope.reshape(shape) + self.bias.reshape(shape)
        return top

    def onnx(self, op: Op, x: str) -> Values:
        shape = self._spread(len(op.shape(x)))
        slope, bias = (op.weight(self, name, shape=shape) for name in self.blob_names)
        return op.Add(op.Mul(x, slope), bias)
