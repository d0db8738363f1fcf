"""The kernels of the selection: `top = sum_m softmax_m(scores) * branch_m`, and its gradients."""

from __future__ import annotations

from collections.abc import Sequence

import triton
import triton.language as tl
from torch import Tensor

from caffe_layers.kernels.layout import Tiling, alike, empty_alike
from caffe_layers.kernels.where import sum_dtype

from .tile import launch, program_tile


@triton.jit
def softmax(scores, at, channels, exists, SUM: tl.constexpr, M: tl.constexpr):
    """Return the M weights of each row, whose first scores are at `at`, one tensor a branch."""
    largest = tl.load(scores + at, mask=exists, other=0).to(SUM)
    for m in tl.static_range(1, M):
        score = tl.load(scores + at + m * channels, mask=exists, other=0).to(SUM)
        largest = tl.maximum(largest, score)
    powers = ()
    total = tl.zeros_like(largest)
    for m in tl.static_range(M):
        score = tl.load(scores + at + m * channels, mask=exists, other=0).to(SUM)
        power = tl.exp(score - largest)
        powers = powers + (power,)
        total += power
    weights = ()
    for m in tl.static_range(M):
        weights = weights + (powers[m] / total,)
    return weights


@triton.jit
def store_scores_diff(scores_diff, at, channels, exists, weights, sums, M: tl.constexpr):
    """Store `w_m * (d_m - sum_k w_k d_k)`, the softmax's gradient from the weights' gradients d."""
    mean = weights[0] * sums[0]
    for m in tl.static_range(1, M):
        mean += weights[m] * sums[m]
    for m in tl.static_range(M):
        value = weights[m] * (sums[m] - mean)
        value = value.to(scores_diff.dtype.element_ty)
        tl.store(scores_diff + at + m * channels, value, mask=exists)


@triton.jit
def forward_kernel(
    scores,
    branches,
    top,
    channels,
    rows,
    size,
    row_stride,
    step,
    chunk,
    ROWS: tl.constexpr,
    SIZE: tl.constexpr,
    SUM: tl.constexpr,
    M: tl.constexpr,
):
    base, inner, row, exists, begin, end, _ = program_tile(
        rows, size, row_stride, step, chunk, ROWS, SIZE
    )
    first = row // channels * channels * M + row % channels
    weights = softmax(scores, first, channels, exists, SUM, M)
    at = begin + tl.arange(0, SIZE)
    mask = exists[:, None] & (at < end)[None, :]
    base += begin * step
    value = tl.zeros([ROWS, SIZE], SUM)
    for m in tl.static_range(M):
        value += weights[m][:, None] * tl.load(branches[m] + base + inner, mask=mask).to(SUM)
    tl.store(top + base + inner, value.to(top.dtype.element_ty), mask=mask)


@triton.jit
def backward_kernel(
    top_diff,
    scores,
    branches,
    sums,
    branch_diffs,
    all_rows,
    channels,
    rows,
    size,
    row_stride,
    step,
    chunk,
    ROWS: tl.constexpr,
    SIZE: tl.constexpr,
    SUM: tl.constexpr,
    M: tl.constexpr,
    SCORES_DIFF: tl.constexpr,
    SHARED: tl.constexpr,
    WANTED: tl.constexpr,
):
    """`WANTED` has bit m set where branch m's gradient is wanted.

    A program that owns its rows stores the scores' gradient in `sums`; where it is `SHARED` with
    others it stores its sums there, [parts, M, rows of all groups].
    """
    base, inner, row, exists, begin, end, part = program_tile(
        rows, size, row_stride, step, chunk, ROWS, SIZE
    )
    first = row // channels * channels * M + row % channels
    weights = softmax(scores, first, channels, exists, SUM, M)
    totals = ()
    for _ in tl.static_range(M):
        totals = totals + (tl.zeros([ROWS, SIZE], SUM),)
    for start in range(begin, end, SIZE):
        mask = exists[:, None] & (start + tl.arange(0, SIZE) < end)[None, :]
        here = base + start * step
        diff = tl.load(top_diff + here + inner, mask=mask, other=0).to(SUM)
        if SCORES_DIFF:
            more = ()
            for m in tl.static_range(M):
                value = tl.load(branches[m] + here + inner, mask=mask, other=0).to(SUM)
                more = more + (totals[m] + diff * value,)
            totals = more
        for m in tl.static_range(M):
            if (WANTED >> m) & 1:
                value = (weights[m][:, None] * diff).to(top_diff.dtype.element_ty)
                tl.store(branch_diffs[m] + here + inner, value, mask=mask)
    if SCORES_DIFF:
        reduced = ()
        for m in tl.static_range(M):
            reduced = reduced + (tl.sum(totals[m], 1),)
        if SHARED:
            for m in tl.static_range(M):
                place = (part * M + m) * all_rows + row
                tl.store(sums + place, reduced[m], mask=exists)
        else:
            store_scores_diff(sums, first, channels, exists, weights, reduced, M)


@triton.jit
def finish_kernel(
    scores,
    sums,
    scores_diff,
    parts,
    all_rows,
    channels,
    rows,
    size,
    row_stride,
    step,
    chunk,
    ROWS: tl.constexpr,
    SIZE: tl.constexpr,
    SUM: tl.constexpr,
    M: tl.constexpr,
):
    """Add the parts' sums, and store the scores' gradient."""
    _, _, row, exists, _, _, _ = program_tile(rows, size, row_stride, step, chunk, ROWS, SIZE)
    first = row // channels * channels * M + row % channels
    weights = softmax(scores, first, channels, exists, SUM, M)
    totals = ()
    for m in tl.static_range(M):
        total = tl.zeros([ROWS], SUM)
        for part in range(parts):
            place = (part * M + m) * all_rows + row
            total += tl.load(sums + place, mask=exists, other=0)
        totals = totals + (total,)
    store_scores_diff(scores_diff, first, channels, exists, weights, totals, M)


def forward(scores: Tensor, branches: Sequence[Tensor]) -> Tensor:
    """Return the selection in the branches' dtype and the first one's memory format."""
    first = branches[0]
    top = empty_alike(first)
    near = tuple(alike(branches, first))
    tiling = Tiling.of(near[0], sums=0)
    channels = first.shape[1]
    launch(forward_kernel, near[0], tiling, scores.contiguous(), near, top, channels, M=len(near))
    return top


def backward(
    top_diff: Tensor,
    scores: Tensor,
    branches: Sequence[Tensor],
    scores_diff: bool,
    branch_diffs: Sequence[bool],
) -> list[Tensor]:
    """Return the gradients that are asked for, from one pass over top_diff and the branches.

    Where few rows have many values, programs share a row, and a second, small kernel adds their
    sums: always in one order, so that the result is the same each time.
    """
    m = len(branch_diffs)
    # A pointer that is not used must be one.
    first, *others = branches or [top_diff] * m
    outs = [empty_alike(first) if wanted else top_diff for wanted in branch_diffs]
    first, top_diff, *others = alike((first, top_diff, *others), first)
    tiling = Tiling.of(first, sums=m if scores_diff else 0)
    shared = scores_diff and tiling.splits > 1
    n, channels = top_diff.shape[:2]
    scores = scores.contiguous()
    empty = scores.new_zeros if not top_diff.numel() else scores.new_empty
    out = empty(scores.shape)
    sums = out
    if shared:
        sums = out.new_empty((tiling.splits, m, n, channels), dtype=sum_dtype(first.dtype))
    launch(
        backward_kernel,
        first,
        tiling,
        top_diff,
        scores,
        (first, *others),
        sums,
        tuple(outs),
        n * channels,
        channels,
        M=m,
        SCORES_DIFF=scores_diff,
        SHARED=shared,
        WANTED=sum(wanted << place for place, wanted in enumerate(branch_diffs)),
    )
    if shared:
        rows = Tiling.of(top_diff.new_empty((n, channels)), sums=0)
        launch(
            finish_kernel, sums, rows, scores, sums, out, tiling.splits, n * channels, channels, M=m
        )
    wanted_outs = [o for o, wanted in zip(outs, branch_diffs, strict=True) if wanted]
    return [*([out] if scores_diff else []), *wanted_outs]
