"""ReLU6, from chuanqi305/ssd."""

from __future__ import annotations

from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape


class ReLU6(Layer, type="ReLU6", fork="chuanqi", param="relu6_param"):
    """`top = min(max(x, 0), 6) + negative_slope * min(x, 0)`, for x of any shape.

    Only MobileNet-YOLO's has a slope. At 0 and at 6 the gradient is that of outside.

    Caffe: chuanqi305/ssd, src/caffe/layers/relu6_layer.cpp
    """

    family = "activation"
    fork_fields: ClassVar[tuple[str, ...]] = ("relu6_param.negative_slope",)

    def __init__(self, *, negative_slope: float = 0.0) -> None:
        super().__init__()
        self.negative_slope = float32(negative_slope)

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        top = F.relu6(x)
        return top + self.negative_slope * x.clamp(max=0) if self.negative_slope else top

    def onnx(self, op: Op, x: str) -> Values:
        bounds = op.scalar(0), op.scalar(6)
        if not self.negative_slope:
            return op.Clip(x, *bounds)
        negative = op.Min(x, op.scalar(0))
        slope = op.Mul(negative, op.scalar(self.negative_slope))
        return op.Add(op.Clip(x, *bounds), slope)

    def python(self, py: Py, x: str) -> str:
        top = py.call("F.relu6", x)
        if not self.negative_slope:
            return top
        return f"{top} + {self.negative_slope} * torch.clamp({x}, max=0)"
