"""BatchReindex."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .rows import row_numbers


class BatchReindex(Layer, type="BatchReindex", bottoms=2):
    """`top[m] = x[int(index[m])]`: x is N x ..., index M, the top M x ...

    Rows may repeat or be left out; their gradients add up or are 0. Index has no gradient.

    Errors: ShapeError for an index that is negative or not below N.
    Caffe: BVLC/caffe, src/caffe/layers/batch_reindex_layer.cpp
    """

    fixed_bottoms = (1,)

    def shapes(self, x: Shape, index: Shape) -> list[Shape]:
        require(len(index) == 1, f"index {index} has {len(index)} axes, wants 1")
        require(len(x) >= 1, "the first bottom has no axes, wants 1 or more")
        return [(*index, *x[1:])]

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        return x.index_select(0, row_numbers(index, x.shape[0]))

    def onnx(self, op: Op, x: str, index: str) -> Values:
        return op.Gather(x, op.to_int(index), axis=0)
