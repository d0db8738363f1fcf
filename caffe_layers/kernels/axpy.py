"""Axpy: its plain form, and the operator `caffeport::axpy`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from caffe_layers.base.checks import require
from prototxt.errors import ShapeError

from .layout import empty_alike, memory_format
from .registration import NAMESPACE, lowered, register_autocast
from .where import launches, sum_dtype, wants_operator


def axpy(a: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return `a * x + y`, where `a` (N x C or N x C x 1 x 1) weighs the channels of x.

    On a GPU with Triton this is one kernel, its gradient another (see `operator`).
    """
    if wants_operator((x, y, a)):
        return operator(a, x, y)  # type: ignore[no-any-return]  # custom_op hides the signature
    return plain(a, x, y)


def plain(a: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return `a * x + y` by torch's own operators: the reference."""
    return _over(a, x) * x + y


def plain_backward(
    top_diff: Tensor, a: Tensor, x: Tensor | None, a_diff: bool, x_diff: bool
) -> list[Tensor]:
    """Return the gradients that are asked for, of a and of x, by torch's own operators."""
    dtype = sum_dtype(top_diff.dtype)
    wide = top_diff.to(dtype)
    diffs = []
    if a_diff:
        assert x is not None
        total = (wide * x.to(dtype)).flatten(2).sum(2) if x.dim() > 2 else wide * x.to(dtype)
        diffs.append(total.reshape(a.shape).to(a.dtype))
    if x_diff:
        diffs.append((_over(a, top_diff).to(dtype) * wide).to(top_diff.dtype))
    return diffs


def _over(a: Tensor, x: Tensor) -> Tensor:
    """Give the weights the axes of x."""
    return a.reshape(*x.shape[:2], *(1,) * (x.dim() - 2))


@custom_op(f"{NAMESPACE}::axpy", mutates_args=(), schema="(Tensor a, Tensor x, Tensor y) -> Tensor")
def operator(a: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return `a * x + y` in the dtype and memory format of x; y's dtype is x's, a's may be another.

    The product and the sum are float32 (float64 for float64), whatever the dtypes. Under autocast
    x and y get its dtype, and a keeps its own: it is the small one, and float32 after a softmax.
    Differentiable, also twice; then by torch's own operators.
    """
    _require(a, x, y)
    if launches(x):
        from .programs.axpy import forward

        return forward(a, x, y)
    dtype = sum_dtype(x.dtype)
    top = plain(a.to(dtype), x.to(dtype), y.to(dtype)).to(x.dtype)
    return top.contiguous(memory_format=memory_format(x))


@operator.register_fake
def _(a: Tensor, x: Tensor, y: Tensor) -> Tensor:
    _require(a, x, y)
    return empty_alike(x)


def _require(a: Tensor, x: Tensor, y: Tensor) -> None:
    require(x.dim() >= 2, f"x {(*x.shape,)} has no channel axis, wants N x C x ...")
    require(x.shape == y.shape, f"x {(*x.shape,)} and y {(*y.shape,)} differ")
    require(x.dtype == y.dtype, f"x {x.dtype} and y {y.dtype} differ")
    if a.shape[:2] != x.shape[:2] or not all(length == 1 for length in a.shape[2:]):
        raise ShapeError(f"a {(*a.shape,)} is no N x C of x {(*x.shape,)}")


@custom_op(
    f"{NAMESPACE}::axpy_backward",
    mutates_args=(),
    schema="(Tensor top_diff, Tensor a, Tensor? x, bool a_diff, bool x_diff) -> Tensor[]",
)
def backward_operator(
    top_diff: Tensor, a: Tensor, x: Tensor | None, a_diff: bool, x_diff: bool
) -> list[Tensor]:
    """Return those gradients of `operator` that are asked for: of a, of x. y's is top_diff.

    x may be None where a's is not asked for.
    """
    if launches(top_diff):
        from .programs.axpy import backward

        return backward(top_diff, a, x, a_diff, x_diff)
    diffs = plain_backward(top_diff, a, x, a_diff, x_diff)
    if x_diff:
        form = memory_format(top_diff if x is None else x)
        diffs[-1] = diffs[-1].contiguous(memory_format=form)
    return diffs


@backward_operator.register_fake
def _(top_diff: Tensor, a: Tensor, x: Tensor | None, a_diff: bool, x_diff: bool) -> list[Tensor]:
    diffs = [a.new_empty(a.shape)] if a_diff else []
    return [*diffs, empty_alike(top_diff if x is None else x)] if x_diff else diffs


def _save(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
    a, x, _ = inputs
    ctx.save_for_backward(a, x if ctx.needs_input_grad[0] else None)


def _backward(ctx: Any, top_diff: Tensor) -> tuple[Tensor | None, ...]:
    a, x = ctx.saved_tensors
    a_diff, x_diff, y_diff = ctx.needs_input_grad
    diffs: Iterator[Tensor] = iter(())
    if a_diff or x_diff:
        # The kernel has no gradient of its own: where one is wanted, torch's operators have.
        run = plain_backward if torch.is_grad_enabled() else backward_operator
        diffs = iter(run(top_diff, a, x, a_diff, x_diff))
    return (
        next(diffs) if a_diff else None,
        next(diffs) if x_diff else None,
        top_diff if y_diff else None,
    )


operator.register_autograd(_backward, setup_context=_save)


def _cast(dtype: torch.dtype, a: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, ...]:
    return a, lowered(x, dtype), lowered(y, dtype)


register_autocast(operator, _cast)
