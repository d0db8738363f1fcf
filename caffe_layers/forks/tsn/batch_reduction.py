"""BatchReduction, from yjxiong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from caffe_layers.base.checks import canonical_axis, require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError, UnsupportedError


class BatchReduction(Layer, type="BatchReduction", fork="tsn", param="batch_reduction_param"):
    """Sums, means or means of the k largest values along one axis: the segments of a video.

    With one `level` of 1, or none, `axis` goes away. Otherwise its `sum of level^2` places are
    split, level by level, into pieces of `level^2`, and the axis keeps one place a piece. With
    `pos` the axis and the next are two of one size, of whose pairs only those on the diagonal
    count; both go away. `operation` is SUM, MEAN or TOPK (`k`).

    Errors: UnsupportedError for another operation, for TOPK with several levels or `pos`, and for
    a diagonal with a level above 1; ShapeError where the levels do not make up the axis.
    Caffe: yjxiong/caffe, src/caffe/layers/batch_reduction_layer.cpp
    """

    def __init__(
        self,
        *,
        level: Sequence[int] = (),
        operation: str = "SUM",
        axis: int = 0,
        k: int = 1,
        pos: bool = False,
    ) -> None:
        super().__init__()
        self.level = tuple(level) or (1,)
        whole = self.level == (1,)
        if operation not in ("SUM", "MEAN", "TOPK"):
            raise UnsupportedError(f"operation {operation} is none of SUM, MEAN, TOPK")
        if pos and (not whole or operation == "TOPK"):
            raise UnsupportedError("pos with a level above 1 or TOPK, wants neither")
        if operation == "TOPK" and len(self.level) > 1:
            raise UnsupportedError("TOPK with several levels, wants one")
        require(min(self.level) > 0, f"level {self.level} wants 1 or more")
        self.whole = whole
        self.operation, self.axis, self.k, self.pos = operation, axis, k, pos

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> BatchReduction:
        param = layer.batch_reduction_param
        return cls(**cls.fields(layer), **cls.fields_of(param.reduction_param))

    def _pieces(self, size: int) -> list[int]:
        return [size] if self.whole else [level * level for level in self.level]

    def shapes(self, x: Shape) -> list[Shape]:
        axis = canonical_axis(self.axis, len(x))
        if self.pos:
            if len(x) < axis + 2 or x[axis] != x[axis + 1]:
                raise ShapeError(f"bottom {x} wants two equal axes from axis {axis} on, for pos")
            return [(*x[:axis], *x[axis + 2 :])]
        pieces = self._pieces(x[axis])
        if sum(pieces) != x[axis]:
            raise ShapeError(f"axis {axis} of {x} is no sum of the pieces {pieces}")
        if self.operation == "TOPK" and not 1 <= self.k <= pieces[0]:
            raise ShapeError(f"k is {self.k} of {pieces[0]} values, wants 1 to as many")
        return [(*x[:axis], *(() if self.whole else (len(pieces),)), *x[axis + 1 :])]

    def forward(self, x: Tensor) -> Tensor:
        axis = self.axis % x.dim()
        if self.pos:
            x = x.diagonal(dim1=axis, dim2=axis + 1).movedim(-1, axis)
        pieces = torch.split(x, self._pieces(x.shape[axis]), axis)
        reduced = [self._reduced(piece, axis) for piece in pieces]
        return reduced[0] if self.whole else torch.stack(reduced, axis)

    def _reduced(self, x: Tensor, axis: int) -> Tensor:
        if self.operation == "TOPK":
            return x.topk(self.k, axis).values.mean(axis)
        return x.sum(axis) if self.operation == "SUM" else x.mean(axis)

    def onnx(self, op: Op, x: str) -> Values:
        shape = op.shape(x)
        axis = canonical_axis(self.axis, len(shape))
        if op.dynamic(x)[axis] and not self.whole:
            raise UnsupportedError("the axis of several levels is not fixed", fix="fix its size")
        if self.pos:
            return self._onnx_diagonal(op, x, axis)
        if self.whole:
            return self._onnx_reduced(op, x, axis, keepdims=0)
        pieces = self._pieces(shape[axis])
        reduced, start = [], 0
        for size in pieces:
            bounds = (op.ints(start), op.ints(start + size), op.ints(axis))
            piece = op.Slice(x, *bounds)
            reduced.append(self._onnx_reduced(op, piece, axis, keepdims=1))
            start += size
        return op.Concat(*reduced, axis=axis) if len(pieces) > 1 else reduced[0]

    def _onnx_reduced(self, op: Op, x: str, axis: int, *, keepdims: int) -> str:
        if self.operation == "TOPK":
            x, _ = op.TopK(x, op.ints(self.k), axis=axis)
        kind = "ReduceSum" if self.operation == "SUM" else "ReduceMean"
        return op.reduce(kind, x, [axis], keepdims=keepdims)

    def _onnx_diagonal(self, op: Op, x: str, axis: int) -> str:
        rank = len(op.shape(x))
        if op.dynamic(x)[axis]:
            raise UnsupportedError("the diagonal's size is not fixed", fix="fix its axes' sizes")
        size = op.shape(x)[axis]
        eye = op.EyeLike(op.const(torch.zeros(size, size).numpy()))
        mask = op.to_bool(eye)
        spread = [at for at in range(rank) if at not in (axis, axis + 1)]
        mask = op.Unsqueeze(mask, op.ints(*spread)) if spread else mask
        kept = op.Where(mask, x, op.scalar(0))
        if self.operation == "SUM":
            return op.reduce("ReduceSum", kept, [axis, axis + 1], keepdims=0)
        total = op.reduce("ReduceSum", kept, [axis, axis + 1], keepdims=0)
        return op.Div(total, op.scalar(size))
