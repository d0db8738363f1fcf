"""Local response normalisation across channels: LRN's arithmetic, which fused layers do too."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.op import Op


def response_across(x: Tensor, size: int, alpha: float, beta: float, k: float) -> Tensor:
    """Return `x * (k + alpha / size * sum of x**2)**-beta` over `size` channels around each."""
    pad = size // 2
    # Sums of whole channels: a pooling over them takes several times as long backward.
    padded = F.pad(x * x, (0, 0, 0, 0, pad, pad))
    total: Any = sum(padded.narrow(1, at, x.shape[1]) for at in range(size))
    scale: Tensor = k + alpha * (total / size)
    return x * scale.pow(-beta)


def emit_response_across(op: Op, x: str, size: int, alpha: float, beta: float, k: float) -> str:
    """Append what `response_across` does."""
    if alpha > 0 and beta > 0:  # ONNX Runtime takes no others
        if k.is_integer() or k < 0:
            return op.LRN(x, alpha=alpha, beta=beta, bias=k, size=size)
        # OpenVINO takes a whole number: k is taken out of the power.
        power = op.LRN(x, alpha=alpha / k, beta=beta, bias=1.0, size=size)
        return op.Mul(power, op.scalar(k**-beta))
    # With the channels as rows it is a pooling.
    rows = op.Transpose(op.Mul(x, x), perm=[0, 2, 1, 3])
    pad = size // 2
    mean = op.AveragePool(rows, kernel_shape=[size, 1], pads=[pad, 0, pad, 0], count_include_pad=1)
    share = op.Mul(op.Transpose(mean, perm=[0, 2, 1, 3]), op.scalar(alpha))
    scale = op.Add(share, op.scalar(k))
    return op.Mul(x, op.Pow(scale, op.scalar(-beta)))
