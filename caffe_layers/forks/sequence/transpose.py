"""Transpose, from CTPN and CRNN."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape


class Transpose(Layer, type="Transpose", fork="caffe_ocr", param="transpose_param"):
    """Change the order of the axes: axis i of the top is the bottom's axis `dim[i]`.

    Unlike SSD's Permute it wants every axis to be named.

    Errors: ShapeError unless `dim` names each axis of the bottom once.
    Caffe: senlinuc/caffe_ocr, src/caffe/layers/transpose_layer.cpp
    """

    family = "shape"

    def __init__(self, *, dim: Sequence[int] = ()) -> None:
        super().__init__()
        self.dim = tuple(dim)

    def shapes(self, x: Shape) -> list[Shape]:
        named = sorted(self.dim) == list(range(len(x)))
        require(named, f"dim {self.dim} wants to name each of the {len(x)} axes of {x} once")
        return [tuple(x[axis] for axis in self.dim)]

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(self.dim)

    def onnx(self, op: Op, x: str) -> Values:
        return op.Transpose(x, perm=list(self.dim))

    def python(self, py: Py, x: str) -> str:
        return py.call("torch.permute", x, self.dim)
