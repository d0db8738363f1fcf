"""A cosine whose angle grows by a margin, as ArcFace has it."""

from __future__ import annotations

from math import cos, pi, sin

import torch
from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.base.op import Op


def widened(cosine: Tensor, m: float) -> Tensor:
    """Return `cos(t + m)` for `cos(t)`, and `cos(t) - m sin(m)` from `t = pi - m` on.

    A cosine above 1 is 1. There, and behind `pi - m`, the gradient passes as it is.
    """
    with torch.no_grad():
        c = cosine.clamp(max=1)
        sine = (1 - c * c).clamp(min=0).sqrt()
        far = c <= cos(pi - m)
        value = torch.where(far, c - sin(pi - m) * m, c * cos(m) - sine * sin(m))
        plain = far | (sine == 0)
        slope = torch.where(plain, 1, cos(m) + sin(m) * c / torch.where(plain, 1, sine))
    return gradient_of(value, slope * cosine)


def emit_widened(op: Op, cosine: str, m: float) -> str:
    """Append what `widened` does."""
    one = op.scalar(1)
    c = op.Min(cosine, one)
    sine = op.Sqrt(op.Relu(op.Sub(one, op.Mul(c, c))))
    near = op.Sub(op.Mul(c, op.scalar(cos(m))), op.Mul(sine, op.scalar(sin(m))))
    far = op.Sub(c, op.scalar(sin(pi - m) * m))
    return op.Where(op.Greater(c, op.scalar(cos(pi - m))), near, far)
