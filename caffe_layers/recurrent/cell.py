"""One step of an LSTM."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def lstm_cell(c: Tensor, gates: Tensor, cont: Tensor) -> tuple[Tensor, Tensor]:
    """Return the next c and h, ... x H, from the last c and the sums `gates`, ... x 4H.

    The gates stand in Caffe's order: input, forget, output, and the candidate. `cont`, ... x 1, is
    0 where a sequence begins, which forgets c.
    """
    i, f, o, g = gates.chunk(4, dim=-1)
    c = cont * f.sigmoid() * c + i.sigmoid() * g.tanh()
    return c, o.sigmoid() * torch.tanh(c)


def emit_lstm_cell(
    op: Any,
    c: str,
    gates: str,
    cont: str,
    size: int,
    *,
    c_to: Mapping[str, Any],
    h_to: Mapping[str, Any],
) -> tuple[str, str]:
    """Append `lstm_cell` for H = `size`, its results named or made tops as `c_to`, `h_to` say."""
    i, f, o, g = op.Split(gates, op.ints(*[size] * 4), axis=-1, name="gate", outputs=4)
    kept = op.Mul(cont, op.Sigmoid(f, name="forget"), name="kept")
    old = op.Mul(kept, c, name="old")
    new = op.Mul(op.Sigmoid(i, name="input"), op.Tanh(g, name="candidate"), name="new")
    c = op.Add(old, new, **c_to)
    return c, op.Mul(op.Sigmoid(o, name="output"), op.Tanh(c, name="tanh"), **h_to)
