"""The selection of SK units: its plain form, and the operator `caffeport::select`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.library import custom_op

from caffe_layers.base.checks import require
from prototxt.errors import ShapeError

from .layout import empty_alike, memory_format
from .registration import NAMESPACE, lowered, register_autocast
from .where import launches, sum_dtype, wants_operator

MOST_BRANCHES = 8  # that the kernels take: each one's sums stay in registers


def select(scores: Tensor, *branches: Tensor) -> Tensor:
    """Return `sum_m softmax_m(scores) * branches[m]`.

    `scores` has N * M * C values in this order (N x M x C, N x M*C x 1 x 1, ...), each branch is
    N x C x .... On a GPU with Triton this is one kernel, its gradient another (see `operator`).
    """
    if len(branches) <= MOST_BRANCHES and wants_operator((*branches, scores)):
        return operator(scores, branches)  # type: ignore[no-any-return]  # hidden by custom_op
    return plain(scores, branches)


def plain(scores: Tensor, branches: Sequence[Tensor]) -> Tensor:
    """Return the selection by torch's own operators: the reference."""
    first, *others = branches
    weights = _over(scores, first, len(branches)).softmax(1).unbind(1)
    top = first * weights[0]
    for branch, weight in zip(others, weights[1:], strict=True):
        top = top.addcmul(branch, weight)
    return top


def plain_backward(
    top_diff: Tensor,
    scores: Tensor,
    branches: Sequence[Tensor],
    scores_diff: bool,
    branch_diffs: Sequence[bool],
) -> list[Tensor]:
    """Return the gradients that are asked for, of the scores and of branches, by torch's own."""
    dtype = sum_dtype(top_diff.dtype)
    weights = _over(scores.to(dtype), top_diff, len(branch_diffs)).softmax(1)
    wide = top_diff.to(dtype)
    diffs = []
    if scores_diff:
        axes = tuple(range(2, top_diff.dim()))
        products = [wide * branch.to(dtype) for branch in branches]
        sums = [product.sum(axes, keepdim=True) if axes else product for product in products]
        weighted = weights * torch.stack(sums, 1)
        diff = weighted - weights * weighted.sum(1, keepdim=True)
        diffs.append(diff.reshape(scores.shape).to(scores.dtype))
    for weight, wanted in zip(weights.unbind(1), branch_diffs, strict=True):
        if wanted:
            diffs.append((weight * wide).to(top_diff.dtype))
    return diffs


def _over(scores: Tensor, x: Tensor, branches: int) -> Tensor:
    """Give the scores an axis of branches, and the axes of x."""
    n, c = x.shape[:2]
    return scores.reshape(n, branches, c, *(1,) * (x.dim() - 2))


@custom_op(
    f"{NAMESPACE}::select", mutates_args=(), schema="(Tensor scores, Tensor[] branches) -> Tensor"
)
def operator(scores: Tensor, branches: Sequence[Tensor]) -> Tensor:
    """Return the selection in the branches' dtype and the first one's memory format.

    Softmax, products and sums are float32 (float64 for float64), whatever the dtypes; that of the
    scores may be another than the branches'. Under autocast the branches get its dtype, and the
    scores keep theirs. Differentiable, also twice; then by torch's own operators.
    """
    _require(scores, branches)
    if launches(branches[0]):
        from .programs.selection import forward

        return forward(scores, branches)
    dtype = sum_dtype(branches[0].dtype)
    top = plain(scores.to(dtype), [branch.to(dtype) for branch in branches])
    top = top.to(branches[0].dtype)
    return top.contiguous(memory_format=memory_format(branches[0]))


@operator.register_fake
def _(scores: Tensor, branches: Sequence[Tensor]) -> Tensor:
    _require(scores, branches)
    return empty_alike(branches[0])


def _require(scores: Tensor, branches: Sequence[Tensor]) -> None:
    if not 1 <= len(branches) <= MOST_BRANCHES:
        raise ShapeError(f"{len(branches)} branches, wants 1 to {MOST_BRANCHES}")
    first = branches[0]
    require(first.dim() >= 2, f"branch {(*first.shape,)} has no channel axis, wants N x C x ...")
    for branch in branches[1:]:
        if branch.shape != first.shape or branch.dtype != first.dtype:
            one, other = ((*tensor.shape,) for tensor in (first, branch))
            raise ShapeError(f"branches {one} {first.dtype} and {other} {branch.dtype} differ")
    n, c = first.shape[:2]
    wants = n * len(branches) * c
    require(scores.numel() == wants, f"scores {(*scores.shape,)}, wants {wants} values")


@custom_op(
    f"{NAMESPACE}::select_backward",
    mutates_args=(),
    schema="(Tensor top_diff, Tensor scores, Tensor[] branches, bool scores_diff,"
    " bool[] branch_diffs) -> Tensor[]",
)
def backward_operator(
    top_diff: Tensor,
    scores: Tensor,
    branches: Sequence[Tensor],
    scores_diff: bool,
    branch_diffs: Sequence[bool],
) -> list[Tensor]:
    """Return those gradients of `operator` that are asked for: of the scores, of each branch.

    There may be no branches where the scores' gradient is not asked for.
    """
    if launches(top_diff):
        from .programs.selection import backward

        return backward(top_diff, scores, branches, scores_diff, branch_diffs)
    diffs = plain_backward(top_diff, scores, branches, scores_diff, branch_diffs)
    form = memory_format([*branches, top_diff][0])
    first = int(scores_diff)
    return [*diffs[:first], *(diff.contiguous(memory_format=form) for diff in diffs[first:])]


@backward_operator.register_fake
def _(
    top_diff: Tensor,
    scores: Tensor,
    branches: Sequence[Tensor],
    scores_diff: bool,
    branch_diffs: Sequence[bool],
) -> list[Tensor]:
    diffs = [scores.new_empty(scores.shape)] if scores_diff else []
    like = [*branches, top_diff][0]
    return [*diffs, *(empty_alike(like) for wanted in branch_diffs if wanted)]


def _save(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    scores, branches = inputs
    ctx.branches = len(branches)
    ctx.save_for_backward(scores, *(branches if ctx.needs_input_grad[0] else ()))


def _backward(ctx: Any, top_diff: Tensor) -> tuple[Any, ...]:
    scores, *branches = ctx.saved_tensors
    scores_diff, branch_diffs = ctx.needs_input_grad
    # The kernel has no gradient of its own: where one is wanted, torch's operators have.
    run = plain_backward if torch.is_grad_enabled() else backward_operator
    diffs: Iterator[Tensor] = iter(run(top_diff, scores, branches, scores_diff, branch_diffs))
    return (
        next(diffs) if scores_diff else None,
        [next(diffs) if wanted else None for wanted in branch_diffs],
    )


operator.register_autograd(_backward, setup_context=_save)


def _cast(dtype: torch.dtype, scores: Tensor, branches: Sequence[Tensor]) -> tuple[Any, ...]:
    return scores, [lowered(branch, dtype) for branch in branches]


register_autocast(operator, _cast)
