"""InvertedOrder, of 3Dpose_ssl."""

from __future__ import annotations

from math import prod

from torch import Tensor

from caffe_layers.arithmetic.reversed import emit_reversed
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class InvertedOrder(Layer, type="InvertedOrder", fork="pose_ssl"):
    """`top[n] = x[N - 1 - n]` for x of N x C: the steps of a sequence, the last one first.

    Errors: ShapeError for x with more than one value a channel, of which the layer copies the
    first alone.
    Caffe: chanyn/3Dpose_ssl, caffe-3dssl/src/caffe/my_layers/inverted_order_layer.cpp
    """

    time_first = True

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) >= 1 and prod(x[2:]) == 1, f"bottom {x} wants one value a channel: N x C")
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return x.flip(0)

    def onnx(self, op: Op, x: str) -> Values:
        return emit_reversed(op, x, 0)
