"""Normalising by the batch's own statistics, as batch normalisation trains."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.op import Op, Py
from prototxt.errors import UnsupportedError


def normalize_batch(
    x: Tensor, eps: float, weight: Tensor | None = None, bias: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return `(x - mean) / sqrt(var + eps) * weight + bias`, and the batch's mean and variance.

    x is N x C x ..., the statistics are C; the variance that is returned is the unbiased one, and
    0 where a channel has a single value.
    """
    channels = x.shape[1]
    mean, var = (x.new_zeros(channels) for _ in range(2))
    if x.numel() > channels:
        return update_statistics(x, mean, var, weight, bias, 1.0, eps), mean, var
    # Torch refuses one value per channel; Caffe leaves the bias correction out.
    centred = x - x
    y = F.batch_norm(centred, mean, var, weight, bias, False, 0.0, eps)
    return y, x.detach().flatten(), var


def update_statistics(
    x: Tensor,
    mean: Tensor,
    var: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    momentum: float,
    eps: float,
) -> Tensor:
    """Normalise by the batch and move `mean` and `var` towards it: torch's, but of any eps.

    `F.batch_norm` refuses to train with an eps of 0, which Caffe takes.
    """
    cudnn = torch.backends.cudnn.enabled
    return torch.batch_norm(x, weight, bias, mean, var, True, momentum, eps, cudnn)


def onnx_normalize_batch(op: Op, x: str, eps: float) -> str:
    """Append `(x - mean) / sqrt(var + eps)`, per channel of the batch."""
    axes = [axis for axis in range(len(op.shape(x))) if axis != 1]
    mean = op.reduce("ReduceMean", x, axes, keepdims=1)
    centred = op.Sub(x, mean)
    square = op.Mul(centred, centred)
    var = op.reduce("ReduceMean", square, axes, keepdims=1)
    std = op.Sqrt(op.Add(var, op.scalar(eps)))
    return op.Div(centred, std)


def norm_source(
    py: Py,
    x: str,
    tensors: dict[str, Tensor],
    *,
    eps: float,
    momentum: float = 0.1,
    affine: bool = True,
) -> str:
    """Return Python source of torch's BatchNorm with these parameters and running statistics."""
    axes = {2: 1, 3: 1, 4: 2, 5: 3}.get(len(py.shapes[0]))
    if axes is None:
        raise UnsupportedError(f"torch has no BatchNorm for {len(py.shapes[0])} axes")
    tensors = {**tensors, "num_batches_tracked": torch.zeros((), dtype=torch.int64)}
    channels = len(tensors["running_mean"])
    module = py.module(
        f"nn.BatchNorm{axes}d",
        channels,
        eps=eps,
        momentum=momentum,
        affine=affine,
        tensors=tensors,
    )
    return f"{module}({x})"
