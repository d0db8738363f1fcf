"""Flatten."""

from __future__ import annotations

from math import prod
from typing import Any

from torch import Tensor

from caffe_layers.base.checks import canonical_axis, require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape


class Flatten(Layer, type="Flatten", param="flatten_param"):
    """Merges the axes from `axis` up to `end_axis`, which belongs to them, into one.

    `end_axis` right before `axis` inserts an axis of size 1, as in Caffe.

    Errors: ShapeError for axes in the wrong order, and for writing in place.
    Caffe: BVLC/caffe, src/caffe/layers/flatten_layer.cpp
    """

    family = "shape"
    is_view = True

    def __init__(self, *, axis: int = 1, end_axis: int = -1) -> None:
        super().__init__()
        self.axis = axis
        self.end_axis = end_axis

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Flatten:
        require(layer.top[0] != layer.bottom[0], "it cannot write in place", fix="rename the top")
        return cls(**cls.fields(layer))

    def shapes(self, x: Shape) -> list[Shape]:
        start, end = self._span(len(x))
        return [(*x[:start], prod(x[start:end]), *x[end:])]

    def forward(self, x: Tensor) -> Tensor:
        start, end = self._span(x.dim())
        return x.flatten(start, end - 1) if start < end else x.unsqueeze(start)

    def onnx(self, op: Op, x: str) -> Values:
        start, end = self._span(len(op.shape(x)))
        sizes = op.sizes(x)
        merged = sizes[start] if end - start == 1 else -1
        return op.reshape_by(x, [*sizes[:start], merged, *sizes[end:]])

    def python(self, py: Py, x: str) -> str:
        start, end = self._span(len(py.shapes[0]))
        if start == end:
            return py.call("torch.unsqueeze", x, start)
        return py.call("torch.flatten", x, start, end - 1)

    def _span(self, rank: int) -> tuple[int, int]:
        """Return the first axis that is merged and the first behind that is not."""
        start = canonical_axis(self.axis, rank)
        end = canonical_axis(self.end_axis, rank, "end_axis") + 1
        require(start <= end, f"end_axis {self.end_axis} lies before axis {self.axis}")
        return start, end
