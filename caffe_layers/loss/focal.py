"""The focal loss of a softmax's logarithms."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.base.op import Op

from .threshold import LOG_FLT_MIN

EPS = 1e-10
"""What the gradient divides by at least."""

Form = tuple[float, float, float]
"""What multiplies the power, and in it the constant and the factor of p."""


def focal(logs: Tensor, form: Form, gamma: float) -> Tensor:
    """Return `-scale (constant + factor p)^gamma log(p)` of logarithms log(p).

    The logarithm is at least that of the smallest float. The gradient takes the power for one of
    `1 + factor p`, whatever the constant is, as Caffe's layers do.
    """
    scale, constant, factor = form
    with torch.no_grad():
        p, log = logs.exp(), logs.clamp(min=LOG_FLT_MIN)
        power = scale * (constant + factor * p) ** gamma
        beside = (1 + factor * p).clamp(min=EPS)
        slope = power + factor * gamma * power / beside * log * p
    return gradient_of(-power * log, -slope * logs)


def emit_focal(op: Op, logs: str, form: Form, gamma: float) -> str:
    """Append what `focal` does."""
    scale, constant, factor = form
    p = op.Mul(op.Exp(logs), op.scalar(factor))
    power = op.Pow(op.Add(p, op.scalar(constant)), op.scalar(gamma))
    log = op.Max(logs, op.scalar(LOG_FLT_MIN))
    return op.Mul(op.Mul(power, log), op.scalar(-scale))
