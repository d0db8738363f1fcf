"""Torch's own SGD step, one pass over memory: the only private part of torch that training uses."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

LEAST_RATE = 1e-6
"""Of smaller rates `1 - rate` loses digits that a float32 would show."""

HAS_FUSED_SGD = hasattr(torch, "_fused_sgd_")
"""Torch 2.6 to 2.13 have it, with these arguments."""


def can_fuse(params: Sequence[Tensor], histories: Sequence[Tensor], rate: float) -> bool:
    """Tell whether torch's step takes these parameters: it reads all three as they lie."""
    return HAS_FUSED_SGD and rate >= LEAST_RATE and all(map(_lie_alike, params, histories))


def fused_sgd(
    params: Sequence[Tensor],
    histories: Sequence[Tensor],
    *,
    rate: float,
    momentum: float,
    weight_decay: float,
) -> None:
    """Update in place: `h = momentum * h + rate * (g + weight_decay * w); w -= h`."""
    torch._fused_sgd_(
        list(params),
        [parameter.grad for parameter in params if parameter.grad is not None],
        list(histories),
        weight_decay=weight_decay,
        momentum=momentum,
        lr=1.0,
        dampening=1 - rate,  # the rate as what damping leaves
        nesterov=False,
        maximize=False,
        is_first_step=False,
    )


def _lie_alike(parameter: Tensor, history: Tensor) -> bool:
    gradient = parameter.grad
    if gradient is None or parameter.device.type not in ("cpu", "cuda"):
        return False
    one = {parameter.dtype, gradient.dtype, history.dtype} == {torch.float32}
    return one and parameter.stride() == gradient.stride() == history.stride()
