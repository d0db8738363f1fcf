"""Weights of one bit."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of


def binarized(weight: Tensor, use_alpha: bool) -> Tensor:
    """Return 1 for what is 0 or more and else -1, with `use_alpha` times the mean size of its row.

    A row is all that one output has; the gradient is the plain weight's.
    """
    plain = weight.detach()
    sign = torch.where(plain >= 0, 1, -1).to(plain.dtype)
    if use_alpha:
        alpha = plain.flatten(1).abs().mean(1)
        sign = sign * alpha.reshape(-1, *(1,) * (plain.dim() - 1))
    return gradient_of(sign, weight)
