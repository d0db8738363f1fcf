"""The Python layer `InitLandmark.InitLandmark` of DAN-Caffe."""

from __future__ import annotations

import re
from math import prod
from typing import Any

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.data.param_str import read_param_str
from caffe_layers.data.python import register_python
from prototxt.errors import FormatError


@register_python("InitLandmark", "InitLandmark")
class InitLandmark(Layer, bottoms=1):
    """`top = x + start`: landmarks N x 2L as shifts of a mean face's, which `param_str` lists.

    Errors: FormatError without `initlandmarks`; ShapeError for another number of landmarks.
    Caffe: CSshengxy/DAN-Caffe, DesignLayer/InitLandmark.py
    """

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        self.register_buffer("start", start, persistent=False)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> InitLandmark:
        text = re.sub(r"\s+", " ", layer.python_param.param_str)
        param = read_param_str(text, ("initlandmarks",))
        if "initlandmarks" not in param:
            raise FormatError("param_str has no initlandmarks")
        return cls(torch.tensor(param["initlandmarks"], dtype=torch.float64).flatten())

    def shapes(self, x: Shape) -> list[Shape]:
        wanted = self.start.numel()
        require(len(x) == 2 and prod(x[1:]) == wanted, f"bottom {x}, wants N x {wanted}")
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        start: Tensor = self.start
        return x + start.to(x.dtype)

    def onnx(self, op: Op, x: str) -> Values:
        return op.Add(x, op.array("start", self.start.cpu().numpy()))
