"""One step of an LSTM."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_layers.arithmetic.tanh import emit_tanh
from caffe_layers.base.op import Op


def lstm_cell(c: Tensor, gates: Tensor, cont: Tensor, *, axis: int = -1) -> tuple[Tensor, Tensor]:
    """Return the next c and h, ... x H, from the last c and the sums `gates`, ... x 4H.

    The gates stand in Caffe's order along the `axis`: input, forget, output, and the candidate.
    `cont`, ... x 1, is 0 where a sequence begins, which forgets c.
    """
    i, f, o, g = gates.chunk(4, dim=axis)
    c = cont * f.sigmoid() * c + i.sigmoid() * g.tanh()
    return c, o.sigmoid() * torch.tanh(c)


def emit_lstm_cell(
    op: Op, c: str, gates: str, cont: str, size: int, *, axis: int = -1
) -> tuple[str, str]:
    """Append `lstm_cell` for H = `size`."""
    i, f, o, g = op.Split(gates, op.ints(*[size] * 4), axis=axis, outputs=4)
    kept = op.Mul(cont, op.Sigmoid(f, name="forget_gate"))
    old = op.Mul(kept, c)
    new = op.Mul(op.Sigmoid(i, name="input_gate"), emit_tanh(op, g, name="candidate"))
    c = op.Add(old, new)
    return c, op.Mul(op.Sigmoid(o, name="output_gate"), emit_tanh(op, c))
