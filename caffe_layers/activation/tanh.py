"""TanH."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.arithmetic.tanh import emit_tanh
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape


class TanH(Layer, type="TanH"):
    """`top = tanh(x)`, for x of any shape.

    Caffe: BVLC/caffe, src/caffe/layers/tanh_layer.cpp
    """

    family = "activation"

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return x.tanh()

    def onnx(self, op: Op, x: str) -> Values:
        return emit_tanh(op, x)

    def python(self, py: Py, x: str) -> str:
        return py.call("torch.tanh", x)
