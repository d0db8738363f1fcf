"""Caffe's six update rules; g is the gradient, r the rate, h the history, w -= u.

Caffe: src/caffe/solvers
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import sqrt
from typing import Any

import torch
from torch import Tensor
from typing_extensions import Unpack

from prototxt.errors import FormatError

from .fused_sgd import can_fuse, fused_sgd
from .optimizer import CaffeOptimizer, UpdateOptions

Group = dict[str, Any]
Tensors = list[Tensor]


class SGD(CaffeOptimizer):
    """`h = momentum * h + r * g; u = h`: unlike torch's, a new rate leaves the momentum's past."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        *,
        momentum: float = 0.0,
        **options: Unpack[UpdateOptions],
    ) -> None:
        super().__init__(params, lr, momentum=momentum, **options)

    def _apply_update(
        self, group: Group, params: Tensors, rate: float, decay: float, scale: Tensor | None
    ) -> None:
        histories = [self.history(parameter)[0] for parameter in params]
        plain = scale is None and self.iter_size == 1 and group["regularization_type"] == "L2"
        plain = plain and not self.keeps_updates
        momentum = group["momentum"]
        if plain and momentum and can_fuse(params, histories, rate):
            fused_sgd(params, histories, rate=rate, momentum=momentum, weight_decay=decay)
        else:
            super()._apply_update(group, params, rate, decay, scale)

    def rule(self, group: Group, rate: float, gradients: Tensors, *histories: Tensors) -> Any:
        (history,) = histories
        torch._foreach_mul_(history, group["momentum"])
        torch._foreach_add_(history, gradients, alpha=rate)
        return history


class Nesterov(CaffeOptimizer):
    """`h' = momentum * h + r * g; u = (1 + momentum) * h' - momentum * h`."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        *,
        momentum: float = 0.0,
        **options: Unpack[UpdateOptions],
    ) -> None:
        super().__init__(params, lr, momentum=momentum, **options)

    def rule(self, group: Group, rate: float, gradients: Tensors, *histories: Tensors) -> Any:
        (history,) = histories
        momentum = group["momentum"]
        updates = torch._foreach_mul(history, -momentum)
        torch._foreach_mul_(history, momentum)
        torch._foreach_add_(history, gradients, alpha=rate)
        torch._foreach_add_(updates, history, alpha=1 + momentum)
        return updates


class AdaGrad(CaffeOptimizer):
    """`h = h + g^2; u = r * g / (sqrt(h) + delta)`."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        *,
        momentum: float = 0.0,
        delta: float = 1e-8,
        **options: Unpack[UpdateOptions],
    ) -> None:
        _refuse_momentum("AdaGrad", momentum)
        super().__init__(params, lr, delta=delta, **options)

    def rule(self, group: Group, rate: float, gradients: Tensors, *histories: Tensors) -> Any:
        (history,) = histories
        torch._foreach_addcmul_(history, gradients, gradients)
        return _divided(gradients, history, group["delta"], rate)


class RMSProp(CaffeOptimizer):
    """`h = rms_decay * h + (1 - rms_decay) * g^2; u = r * g / (sqrt(h) + delta)`."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        *,
        momentum: float = 0.0,
        rms_decay: float = 0.99,
        delta: float = 1e-8,
        **options: Unpack[UpdateOptions],
    ) -> None:
        _refuse_momentum("RMSProp", momentum)
        if not 0 <= rms_decay < 1:
            raise FormatError(f"rms_decay is {rms_decay:g}, RMSProp wants 0 or more and below 1")
        super().__init__(params, lr, rms_decay=rms_decay, delta=delta, **options)

    def rule(self, group: Group, rate: float, gradients: Tensors, *histories: Tensors) -> Any:
        (history,) = histories
        _average_squares(history, gradients, group["rms_decay"])
        return _divided(gradients, history, group["delta"], rate)


class AdaDelta(CaffeOptimizer):
    """`v = g * sqrt((h2 + delta) / (h1 + delta)); u = r * v`.

    Before, `h1 = momentum * h1 + (1 - momentum) * g^2`; after, h2 takes v^2 in the same way.
    """

    histories = 2

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        *,
        momentum: float = 0.0,
        delta: float = 1e-8,
        **options: Unpack[UpdateOptions],
    ) -> None:
        super().__init__(params, lr, momentum=momentum, delta=delta, **options)

    def rule(self, group: Group, rate: float, gradients: Tensors, *histories: Tensors) -> Any:
        of_gradients, of_updates = histories
        _average_squares(of_gradients, gradients, group["momentum"])
        updates = torch._foreach_add(of_updates, group["delta"])
        torch._foreach_div_(updates, torch._foreach_add(of_gradients, group["delta"]))
        torch._foreach_sqrt_(updates)
        torch._foreach_mul_(updates, gradients)
        _average_squares(of_updates, updates, group["momentum"])
        torch._foreach_mul_(updates, rate)
        return updates


class Adam(CaffeOptimizer):
    """`u = r * sqrt(1 - b2^t) / (1 - b1^t) * m / (sqrt(v) + delta)`.

    Before, `m = b1 * m + (1 - b1) * g` and `v = b2 * v + (1 - b2) * g^2`, with b1 = momentum,
    b2 = momentum2; t counts the updates from 1. Unlike torch's, delta is not corrected.
    """

    histories = 2

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        *,
        momentum: float = 0.0,
        momentum2: float = 0.999,
        delta: float = 1e-8,
        **options: Unpack[UpdateOptions],
    ) -> None:
        super().__init__(params, lr, momentum=momentum, momentum2=momentum2, delta=delta, **options)

    def rule(self, group: Group, rate: float, gradients: Tensors, *histories: Tensors) -> Any:
        mean, variance = histories
        b1, b2, t = group["momentum"], group["momentum2"], group["iteration"] + 1
        torch._foreach_mul_(mean, b1)
        torch._foreach_add_(mean, gradients, alpha=1 - b1)
        _average_squares(variance, gradients, b2)
        return _divided(mean, variance, group["delta"], rate * sqrt(1 - b2**t) / (1 - b1**t))


def _average_squares(history: Tensors, values: Sequence[Tensor], keep: float) -> None:
    torch._foreach_mul_(history, keep)
    torch._foreach_addcmul_(history, list(values), list(values), value=1 - keep)


def _divided(values: Tensors, squares: Tensors, delta: float, rate: float) -> Any:
    """Return `rate * values / (sqrt(squares) + delta)`."""
    below = torch._foreach_sqrt(squares)
    torch._foreach_add_(below, delta)
    updates = torch._foreach_div(values, below)
    torch._foreach_mul_(updates, rate)
    return updates


def _refuse_momentum(name: str, momentum: float) -> None:
    if momentum:
        raise FormatError(f"momentum is {momentum:g}, {name} has none", fix="remove momentum")
