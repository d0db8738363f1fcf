"""Split."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


class Split(Layer, type="Split", tops=(1, None)):
    """Every top is the bottom; its gradient is the sum of theirs.

    Errors: ShapeError for writing in place.
    Caffe: BVLC/caffe, src/caffe/layers/split_layer.cpp
    """

    family = "shape"
    is_copy = True

    def __init__(self, tops: int) -> None:
        super().__init__()
        self.copies = tops

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Split:
        if layer.bottom[0] in layer.top:
            raise ShapeError("it cannot write in place", fix="rename the top")
        return cls(len(layer.top))

    def shapes(self, x: Shape) -> list[Shape]:
        return [x] * self.copies

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        # Views: each top has a gradient of its own.
        return tuple(x.view_as(x) for _ in range(self.copies))

    @property
    def is_identity(self) -> bool:
        return True

    def onnx(self, op: Op, x: str) -> Values:
        return [x] * self.copies

    def python(self, py: Py, x: str) -> str:
        return ", ".join([x] * self.copies)
