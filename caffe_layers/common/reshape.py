"""Reshape."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


class Reshape(Layer, type="Reshape", param="reshape_param"):
    """The same values in another shape: the axes [axis, axis + num_axes) become `shape`.

    In `shape` 0 copies the size of the bottom's axis at the same place, counted from `axis`, and
    one -1 takes what is left. A negative `axis` counts from the place behind the last axis, so -1
    appends; `num_axes` -1 replaces all that follow and 0 inserts.

    Errors: ShapeError where the number of values would change, and for writing in place.
    Caffe: BVLC/caffe, src/caffe/layers/reshape_layer.cpp
    """

    family = "shape"
    is_view = True

    def __init__(self, *, shape: Sequence[int] = (), axis: int = 0, num_axes: int = -1) -> None:
        super().__init__()
        self.shape = tuple(shape)
        self.axis = axis
        self.num_axes = num_axes
        require(self.shape.count(-1) <= 1, f"shape {self.shape} has more than one -1")
        require(min(self.shape, default=0) >= -1, f"shape {self.shape} has a size below -1")
        require(num_axes >= -1, f"num_axes is {num_axes}, wants -1 (all) or more")

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Reshape:
        require(layer.top[0] != layer.bottom[0], "it cannot write in place", fix="rename the top")
        return cls(**cls.fields(layer))

    def shapes(self, x: Shape) -> list[Shape]:
        start, end = self._span(len(x))
        require(0 <= start <= len(x), f"axis {self.axis} is outside of the bottom {x}")
        require(end <= len(x), f"axis {self.axis} + num_axes {self.num_axes} is outside of {x}")
        for place, size in enumerate(self.shape, start):
            if size == 0 and place >= len(x):
                raise ShapeError(
                    f"shape {self.shape} copies axis {place}, which the bottom {x} lacks"
                )
        wanted = self._shape_of(x)
        left = prod(x) // (prod(size for size in wanted if size != -1) or 1)
        top = tuple(left if size == -1 else size for size in wanted)
        require(prod(top) == prod(x), f"the {prod(x)} values of {x} do not fill {wanted}")
        return [top]

    def forward(self, x: Tensor) -> Tensor:
        return x.reshape(self._shape_of(x.shape))

    def onnx(self, op: Op, x: str) -> Values:
        return op.reshape_by(x, self._shape_of(op.sizes(x)))

    def python(self, py: Py, x: str) -> str:
        sizes = self._shape_of([f"{x}.shape[{axis}]" for axis in range(len(py.shapes[0]))])
        return f"{x}.reshape({', '.join(map(str, sizes)) or '()'})"

    def _span(self, rank: int) -> tuple[int, int]:
        """Return the first axis that is replaced and the first behind that is not."""
        start = self.axis if self.axis >= 0 else rank + self.axis + 1
        return start, rank if self.num_axes == -1 else start + self.num_axes

    def _shape_of(self, x: Sequence[Any]) -> tuple[Any, ...]:
        """Return the top's sizes, its -1 not yet resolved, of the bottom's."""
        start, end = self._span(len(x))
        new = tuple(x[start + i] if size == 0 else size for i, size in enumerate(self.shape))
        return (*x[:start], *new, *x[end:])
