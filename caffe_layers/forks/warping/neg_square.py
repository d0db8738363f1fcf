"""NegSquare, of LiteFlowNet."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class NegSquare(Layer, type="NegSquare", fork="liteflownet"):
    """`top = -x * x`.

    Caffe: twhui/LiteFlowNet, src/caffe/layers/negsquare_layer.cu
    """

    family = "activation"

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return -(x * x)

    def onnx(self, op: Op, x: str) -> Values:
        return op.Neg(op.Mul(x, x))
