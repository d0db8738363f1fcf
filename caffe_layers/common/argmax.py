"""ArgMax."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from caffe_layers.base.checks import canonical_axis, require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class ArgMax(Layer, type="ArgMax", param="argmax_param"):
    """The `top_k` largest values, largest first; of equal ones the larger index comes first.

    With `axis` the top is the bottom with `top_k` in place of that axis' size, and holds indices,
    or with `out_max_val` the values instead. Without it everything behind axis 0 is one axis, and
    the top is N x 1 x top_k of indices, or N x 2 x top_k of indices and values, with further axes
    of size 1 up to the number of the bottom's. Indices are floats, and have no gradient.

    Errors: ShapeError for a `top_k` beyond the number of values.
    Caffe: BVLC/caffe, src/caffe/layers/argmax_layer.cpp
    """

    def __init__(
        self, *, out_max_val: bool = False, top_k: int = 1, axis: int | None = None
    ) -> None:
        super().__init__()
        require(top_k >= 1, f"top_k is {top_k}, wants 1 or more")
        self.out_max_val = out_max_val
        self.top_k = top_k
        self.axis = axis

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) >= 1, "the bottom has no axes, wants 1 or more")
        axis = None if self.axis is None else canonical_axis(self.axis, len(x))
        among = prod(x[1:]) if axis is None else x[axis]
        require(self.top_k <= among, f"top_k is {self.top_k} of only {among} values")
        if axis is not None:
            return [(*x[:axis], self.top_k, *x[axis + 1 :])]
        return [(x[0], 1 + self.out_max_val, self.top_k, *(1,) * (len(x) - 3))]

    def forward(self, x: Tensor) -> Tensor:
        if self.axis is not None:
            index = self._largest(x, self.axis)
            return x.gather(self.axis, index) if self.out_max_val else index.to(x.dtype)
        rows = x.flatten(1) if x.dim() > 1 else x.unsqueeze(1)
        index = self._largest(rows, 1)
        top = index.to(x.dtype).unsqueeze(1)
        if self.out_max_val:
            top = torch.stack([index.to(x.dtype), rows.gather(1, index)], dim=1)
        return top.reshape(*top.shape, *(1,) * (x.dim() - 3))

    def onnx(self, op: Op, x: str) -> Values:
        if self.axis is None:
            shape, moves = op.shape(x), op.dynamic(x)
            last = None if any(moves[1:]) else prod(shape[1:]) - 1
            index, values = self._onnx_largest(op, op.Flatten(x, axis=1), 1, last)
            if not self.out_max_val:
                return op.reshape_to_top(op.to_float(index))
            both = op.Concat(op.to_float(index), values, axis=1)
            return op.reshape_to_top(both)
        axis = canonical_axis(self.axis, len(op.shape(x)))
        last = None if op.dynamic(x)[axis] else op.shape(x)[axis] - 1
        index, values = self._onnx_largest(op, x, axis, last)
        return values if self.out_max_val else op.to_float(index)

    def _largest(self, x: Tensor, axis: int) -> Tensor:
        """Return the indices of the largest values; turned round, the last of equals is first."""
        turned = x.flip(axis)
        if self.top_k == 1:
            index = turned.argmax(axis, keepdim=True)
        else:
            index = turned.argsort(dim=axis, descending=True, stable=True).narrow(
                axis, 0, self.top_k
            )
        return x.shape[axis] - 1 - index

    def _onnx_largest(self, op: Op, x: str, axis: int, last: int | None) -> tuple[str, str]:
        """Append what `_largest` does; return indices, and values if they are wanted.

        `last` is the axis' last index, None where only the run tells.
        """
        wants_values = self.top_k > 1 or self.out_max_val
        if not wants_values and op.takes("ArgMax", select_last_index=1):
            return op.ArgMax(x, axis=axis, select_last_index=1), ""
        start, end, along, step = op.ints(-1), op.ints(-(2**63)), op.ints(axis), op.ints(-1)
        turned = op.Slice(x, start, end, along, step)
        if wants_values:
            values, index = op.TopK(turned, op.ints(self.top_k), axis=axis)
        else:
            values, index = "", op.ArgMax(turned, axis=axis)
        if last is None:
            size = op.Gather(op.Shape(x), along, axis=0)
            return op.Sub(op.Sub(size, op.ints(1)), index), values
        return op.Sub(op.ints(last), index), values
