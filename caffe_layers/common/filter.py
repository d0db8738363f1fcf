"""Filter."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from caffe_layers.arithmetic.choosing import emit_chosen
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


class Filter(Layer, type="Filter", bottoms=(2, None), tops=(1, None)):
    """`top[i]` = the rows of `bottom[i]` at which the last bottom, the selector, is not 0.

    The selector is N or N x 1 x ..., each other bottom N x ...; it has no gradient. The number of
    rows that come out is known only when the values are; there may be none. Until then the shape
    rule says N, as Caffe's does.

    Errors: ShapeError for bottoms of different N, and unless there is a top for each of them.
    Caffe: BVLC/caffe, src/caffe/layers/filter_layer.cpp
    """

    free_axis = 0

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Filter:
        tops, wants = len(layer.top), len(bottoms) - 1
        require(tops == wants, f"{tops} tops, wants {wants}: one for each bottom but the selector")
        return cls()

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        *filtered, selector = bottoms
        if not selector or not set(selector[1:]) <= {1}:
            raise ShapeError(f"the selector is {selector}, wants N or N x 1 x ...")
        for index, shape in enumerate(bottoms):
            if shape[:1] != selector[:1]:
                raise ShapeError(
                    f"bottom {index} {shape} has not as many rows as the selector {selector}"
                )
        return filtered

    def forward(self, *bottoms: Tensor) -> tuple[Tensor, ...]:
        *filtered, selector = bottoms
        rows = selector.flatten() != 0
        return tuple(x[rows] for x in filtered)

    def onnx(self, op: Op, *bottoms: str) -> Values:
        *filtered, selector = bottoms
        flat = op.Reshape(selector, op.ints(-1))
        rows = emit_chosen(op, op.to_bool(flat))
        return tuple(op.Gather(x, rows, axis=0) for x in filtered)
