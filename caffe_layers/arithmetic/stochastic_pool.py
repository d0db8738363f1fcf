"""Pooling that draws a value of each window by the values themselves."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.number import FLT_MIN
from caffe_layers.base.op import Op
from prototxt.errors import UnsupportedError

from .pool import Pool, onnx_inside
from .window import pad_spatial


def drawn(x: Tensor, pool: Pool) -> Tensor:
    """Return for each window one of its values, drawn with its share of the window's sum."""
    (height, width), (row, column) = pool.window.kernel, pool.window.stride
    x = pad_spatial(x, (0, 0), pool.ends())
    seen = x.unfold(2, height, row).unfold(3, width, column).flatten(4)
    upto = seen.cumsum(-1)
    threshold = torch.rand_like(upto[..., -1:]) * upto[..., -1:]
    # The first of equal maxima is the one that argmax gives.
    first = (upto >= threshold).to(torch.uint8).argmax(-1, keepdim=True)
    return seen.gather(-1, first).squeeze(-1)


def weighted_mean(x: Tensor, pool: Pool) -> Tensor:
    """Return each window's mean, weighted by the values: `sum(x**2) / sum(x)`."""
    (height, width), stride = pool.window.kernel, pool.window.stride
    x = pad_spatial(x, (0, 0), pool.ends())
    squares, total = (
        F.avg_pool2d(each, (height, width), stride) * (height * width) for each in (x * x, x)
    )
    # Caffe starts the sum at FLT_MIN, so that a window of zeros gives 0.
    return squares / (total + max(FLT_MIN, torch.finfo(x.dtype).tiny))


def onnx_weighted_mean(op: Op, x: str, pool: Pool | None, *, training: bool) -> str:
    """Append `weighted_mean`, of the whole plane if there is no window."""
    if training:
        raise UnsupportedError(
            "ONNX cannot draw by the values of a window, as STOCHASTIC pooling trains",
            fix="export in the TEST phase",
        )

    inside, ends = onnx_inside(op, x, pool, 0) if pool else (x, ())
    squares, total = (
        op.GlobalAveragePool(each)
        if pool is None
        else op.AveragePool(
            each,
            kernel_shape=pool.window.kernel,
            strides=pool.window.stride,
            pads=[0, 0, *ends],
            count_include_pad=1,
        )
        for each in (op.Mul(inside, inside), inside)
    )
    tiny = op.scalar(max(FLT_MIN, float(np.finfo(op.float_type).tiny)))
    # The ratio of the means is that of the sums.
    return op.Div(squares, op.Add(total, tiny))
