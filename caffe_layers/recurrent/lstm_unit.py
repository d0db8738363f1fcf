"""LSTMUnit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Asked, Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

from .cell import emit_lstm_cell, lstm_cell


class LSTMUnit(Layer, type="LSTMUnit", bottoms=3, tops=2):
    """One step of an LSTM: c 1 x N x H and gates 1 x N x 4H to the next c and h, 1 x N x H.

    `c = cont * sigmoid(f) * c + sigmoid(i) * tanh(g)` and `h = sigmoid(o) * tanh(c)`, where i, f,
    o and g are the gates in this order; cont, 1 x N, is 0 where a sequence begins. Caffe's
    gradient of the forget gate is right for a cont of 0 and 1 alone; here it is right for any.

    Caffe: BVLC/caffe, src/caffe/layers/lstm_unit_layer.cpp
    """

    fixed_bottoms = (2,)
    asks: ClassVar[Mapping[int, Asked]] = {2: "cont"}

    def shapes(self, c: Shape, gates: Shape, cont: Shape) -> list[Shape]:
        for name, shape, rank in (("c", c, 3), ("gates", gates, 3), ("cont", cont, 2)):
            if len(shape) != rank or shape[:2] != (1, c[1]):
                raise ShapeError(
                    f"{name} is {shape}, wants {'1 x N x ...' if rank == 3 else '1 x N'}"
                )
        require(gates[2] == 4 * c[2], f"gates {gates} hold {gates[2]} values, wants 4 x {c[2]}")
        return [c, c]

    def forward(self, c: Tensor, gates: Tensor, cont: Tensor) -> tuple[Tensor, Tensor]:
        return lstm_cell(c, gates, cont.detach().to(c.dtype).unsqueeze(2))

    def onnx(self, op: Op, c: str, gates: str, cont: str) -> Values:
        begins = op.Unsqueeze(cont, op.ints(2))
        size = op.shape(c)[2]
        return emit_lstm_cell(op, c, gates, begins, size)
