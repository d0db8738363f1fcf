"""Gradients that Caffe takes of something else than the value."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from caffe_layers.base.tracing import may_look


class _GradientOf(torch.autograd.Function):
    @staticmethod
    def forward(value: Tensor, other: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return None, grads[0]


def gradient_of(value: Tensor, other: Tensor) -> Tensor:
    """Return `value`, whose gradient goes to `other` (of the same shape) instead."""
    result: Tensor = _GradientOf.apply(  # type: ignore[no-untyped-call]  # torch left it untyped
        value.detach(), other
    )
    return result


def floored(x: Tensor, floor: float) -> Tensor:
    """Return `max(x, floor)` with the gradient of x: Caffe's losses ignore their own clamps."""
    if may_look(x) and x.numel() and float(x.detach().amin()) >= floor:
        return x  # as nearly always; the same without a step in Python on the way back
    return gradient_of(x.clamp(min=floor), x)


class _WithGradient(torch.autograd.Function):
    @staticmethod
    def forward(value: Tensor, other: Tensor, gradient: Tensor) -> Tensor:
        return value.view_as(value)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(inputs[2])

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return grads[0], ctx.saved_tensors[0], None


def with_gradient(value: Tensor, other: Tensor, gradient: Tensor) -> Tensor:
    """Return `value`; on the way back `other` gets `gradient`, whatever the value's own is."""
    result: Tensor = _WithGradient.apply(  # type: ignore[no-untyped-call]  # as above
        value, other, gradient
    )
    return result


class _Bounded(torch.autograd.Function):
    @staticmethod
    def forward(x: Tensor, most: float) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.most = inputs[1]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        return grads[0].clamp(-ctx.most, ctx.most), None


def bounded(x: Tensor, most: float) -> Tensor:
    """Return x, whose gradient is clipped to -`most` ... `most`, value by value."""
    result: Tensor = _Bounded.apply(x, most)  # type: ignore[no-untyped-call]  # as above
    return result
