"""RNN."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from caffe_layers.arithmetic.tanh import emit_tanh
from caffe_layers.base.filler import Filler
from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape

from .base import Recurrent


class RNN(Recurrent, type="RNN", bottoms=(2, 4), tops=(1, 2)):
    """T steps of `h = tanh(W_xh x + b_h + W_hh (cont h))`; the top is `tanh(W_ho h + b_o)`.

    The top is T x N x H, H = num_output; for bottoms, state and `expose_hidden` see `Recurrent`.

    Blobs: W_xh H x inputs, b_h H, W_xh_static H x static_inputs if there are such, W_hh H x H,
    W_ho H x H, b_o H.

    Errors: ShapeError for bottoms that do not fit T and N of x.
    Caffe: BVLC/caffe, src/caffe/layers/rnn_layer.cpp
    """

    letter = "h"
    sums = 1
    states = ("h",)

    def __init__(
        self,
        inputs: int,
        num_output: int,
        *,
        static_inputs: int = 0,
        weight_filler: Filler = Filler(),
        bias_filler: Filler = Filler(),
        expose_hidden: bool = False,
    ) -> None:
        super().__init__(
            inputs,
            num_output,
            static_inputs=static_inputs,
            weight_filler=weight_filler,
            bias_filler=bias_filler,
            expose_hidden=expose_hidden,
        )
        self.add_blob("W_ho", (num_output, num_output), weight_filler)
        self.add_blob("b_o", (num_output,), bias_filler)

    def step(self, sums: Tensor, cont: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        return (sums.tanh(),)

    def output(self, hidden: Tensor) -> Tensor:
        return F.linear(hidden, self.W_ho, self.b_o).tanh()

    def emit_step(self, op: Op, sums: str, cont: str, *state: str) -> tuple[str, ...]:
        return (emit_tanh(op, sums),)

    def emit_output(self, op: Op, hidden: str) -> str:
        weight = op.Transpose(op.weight(self, "W_ho"), perm=[1, 0])
        product = op.MatMul(hidden, weight)
        return emit_tanh(op, op.Add(product, op.weight(self, "b_o")))

    def multiply_adds(self, bottoms: list[Shape], tops: list[Shape]) -> int:
        steps, streams = bottoms[0][:2]
        return super().multiply_adds(bottoms, tops) + steps * streams * self.num_output**2
