"""Permute, from SSD."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


class Permute(Layer, type="Permute", fork="ssd", param="permute_param"):
    """Change the order of the axes: axis i of the top is the bottom's axis `order[i]`.

    Axes that `order` leaves out follow in their own order.

    Errors: ShapeError for an axis that the bottom lacks, and for one named twice.
    Caffe: weiliu89/caffe, src/caffe/layers/permute_layer.cpp
    """

    family = "shape"

    def __init__(self, *, order: Sequence[int] = ()) -> None:
        super().__init__()
        self.order = tuple(order)
        if len(set(self.order)) < len(self.order):
            raise ShapeError(f"order {self.order} names an axis twice")

    def axes(self, rank: int) -> tuple[int, ...]:
        """Return the bottom's axes in the order in which the top has them."""
        beyond = [axis for axis in self.order if axis >= rank]
        require(not beyond, f"order {self.order} wants axis {beyond[:1]} of a bottom with {rank}")
        return (*self.order, *(axis for axis in range(rank) if axis not in self.order))

    def shapes(self, x: Shape) -> list[Shape]:
        return [tuple(x[axis] for axis in self.axes(len(x)))]

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(self.axes(x.dim()))

    def onnx(self, op: Op, x: str) -> Values:
        return op.Transpose(x, perm=list(self.axes(len(op.shape(x)))))

    def python(self, py: Py, x: str) -> str:
        return py.call("torch.permute", x, self.axes(len(py.shapes[0])))
