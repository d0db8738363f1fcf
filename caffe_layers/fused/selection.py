"""The selection of an SK unit as one layer: what an optimised network has in place of six."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.kernels.selection import select


class Selection(Layer, bottoms=(2, None)):
    """`top = sum_m softmax_m(scores) * branch_m`: bottoms are the scores and M branches.

    Not a layer of Caffe: SKNet's definitions write it as Softmax, Slice, Reshape, Scale and Axpy.
    """

    caffe_type = "Selection"
    fork = "sknet"

    def __init__(self, branches: int) -> None:
        super().__init__()
        self.branches = branches

    def shapes(self, scores: Shape, *branches: Shape) -> list[Shape]:
        first = branches[0]
        for branch in branches:
            require(branch == first, f"branches {first} and {branch} differ")
        wants = (first[0], self.branches, first[1])
        require(scores[:3] == wants, f"scores {scores}, wants {wants}")
        return [first]

    def forward(self, scores: Tensor, *branches: Tensor) -> Tensor:
        return select(scores, *branches)

    def onnx(self, op: Op, scores: str, *branches: str) -> Values:
        channels = op.shape(branches[0])[1]
        shape = op.ints(0, self.branches, channels, 1, 1)
        scores = op.Reshape(scores, shape)
        if self.branches == 2:
            return self._onnx_pair(op, scores, *branches)
        weights = op.Softmax(scores, axis=1)
        top = ""
        for index, branch in enumerate(branches):
            weight = _onnx_slice(op, weights, index)
            last = index == self.branches - 1
            product = op.Mul(branch, weight)
            if top:
                top = op.Add(top, product, **({} if last else {"name": f"sum{index}"}))
            else:
                top = product
        return top

    def _onnx_pair(self, op: Op, scores: str, first: str, second: str) -> str:
        """Write `second + sigmoid(score of first - of second) * (first - second)`.

        That is the softmax of two, and the sum weighted by it, with one product fewer.
        """
        each = [_onnx_slice(op, scores, index) for index in range(2)]
        weight = op.Sigmoid(op.Sub(*each))
        change = op.Mul(op.Sub(first, second), weight)
        return op.Add(change, second)


def _onnx_slice(op: Op, value: str, index: int) -> str:
    """Append what takes one branch of an axis of them."""
    return op.Gather(value, op.const(np.array(index, np.int64)), axis=1)
