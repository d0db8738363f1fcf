"""Weights of few values: the signs of one bit, and -1, 0 and 1, times a scale.

The gradient of what these functions return is the plain weight's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.base.number import float32
from prototxt.errors import UnsupportedError


def binarized(weight: Tensor, use_alpha: bool) -> Tensor:
    """Return 1 for what is 0 or more and else -1, with `use_alpha` times the mean size of its row.

    A row is all that one output has.
    """
    plain = weight.detach()
    sign = torch.where(plain >= 0, 1, -1).to(plain.dtype)
    if use_alpha:
        alpha = plain.flatten(1).abs().mean(1)
        sign = sign * alpha.reshape(-1, *(1,) * (plain.dim() - 1))
    return gradient_of(sign, weight)


def zz_binarized(layer: nn.Module, weight: Tensor, xnorno_grad: bool) -> Tensor:
    """Return the signs and scales of zzqiuzz's Caffe, in testing.

    With `xnorno_grad` the mean of a row is taken away first, and what is left is cut at -1 and 1.
    """
    if layer.training:
        raise UnsupportedError(
            "its training is one thing on the CPU and another on the GPU, and not here",
            fix="--phase TEST; --dialect bwn_xnor trains with the weight's own gradient",
        )
    plain = weight.detach()
    if xnorno_grad:
        mean = plain.flatten(1).mean(1).reshape(-1, *(1,) * (plain.dim() - 1))
        plain = (plain - mean).clamp(-1, 1)
    return gradient_of(binarized(plain, use_alpha=True), weight)


LEAST_FIT = 1e-5


def best_ternary(weight: Tensor) -> Tensor:
    """Return the -1, 0 and 1 times a scale, row by row, that lie nearest to the weight.

    Of the r values of the largest size that are kept, `s^2 / r` is to be greatest, s being the sum
    of their sizes; of equal ones the largest r counts. Where none reaches 0.00001 all but the
    smallest value are kept. What is kept is 1 or, up to 0, -1; the scale is the mean size.
    """
    plain = weight.detach()
    rows = plain.flatten(1)
    sizes = rows.abs().sort(1, descending=True).values
    kept = torch.arange(1, rows.shape[1] + 1, device=rows.device).to(rows.dtype)
    fit = sizes.cumsum(1).square() / kept
    last = fit.shape[1] - 1 - fit.flip(1).argmax(1)
    fits = fit.amax(1) >= float32(LEAST_FIT)
    last = torch.where(fits, last, max(fit.shape[1] - 2, 0))
    threshold = sizes.gather(1, last.unsqueeze(1))
    codes = torch.where(rows > 0, 1, -1) * (rows.abs() >= threshold)
    scale = (rows * codes).sum(1, keepdim=True) / codes.abs().sum(1, keepdim=True)
    return gradient_of((codes * scale).view_as(plain), weight)


SHARE = 0.7
LARGEST = 100.0
TINY = 1e-6


def thresholded_ternary(weight: Tensor) -> Tensor:
    """Return 1 above 0.7 times the mean size of all the weight, -1 below minus that, and else 0.

    They are times the mean size of what is not 0, of all rows together.
    """
    plain = weight.detach()
    threshold = (float32(SHARE) * plain.abs().mean()).clamp(max=LARGEST)
    codes = (plain > threshold).to(plain.dtype) - (plain < -threshold).to(plain.dtype)
    scale = (codes * plain).sum() / (codes.abs().sum() + TINY)
    return gradient_of(codes * scale.clamp(-LARGEST, LARGEST), weight)
