"""LSTM."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.op import Op

from .base import Recurrent
from .cell import emit_lstm_cell, lstm_cell


class LSTM(Recurrent, type="LSTM", bottoms=(2, 5), tops=(1, 3)):
    """T steps of `gates = W_xc x + b_c + W_hc (cont h)`, and of them c and h; the top is every h.

    `c = cont * sigmoid(f) * c + sigmoid(i) * tanh(g)` and `h = sigmoid(o) * tanh(c)`, where i, f,
    o and g are the gates in this order (torch's LSTM has i, f, g, o). The top is T x N x H, H =
    num_output; for bottoms, state and `expose_hidden` see `Recurrent`.

    Blobs: W_xc 4H x inputs, b_c 4H, W_xc_static 4H x static_inputs if there are such, W_hc 4H x H.

    Errors: ShapeError for bottoms that do not fit T and N of x.
    Caffe: BVLC/caffe, src/caffe/layers/lstm_layer.cpp
    """

    letter = "c"
    sums = 4
    states = ("h", "c")

    def step(self, sums: Tensor, cont: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        c, h = lstm_cell(state[1], sums, cont)
        return h, c

    def emit_step(self, op: Op, sums: str, cont: str, *state: str) -> tuple[str, ...]:
        c, h = emit_lstm_cell(op, state[1], sums, cont, self.num_output)
        return h, c
