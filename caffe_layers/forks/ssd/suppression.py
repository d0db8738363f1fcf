"""Greedy suppression of boxes that overlap a better one too much."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from caffe_layers.arithmetic.ramp import emit_indices
from caffe_layers.base.op import Op
from caffe_layers.base.private_torch import while_loop

from .bbox import emit_overlap, overlap

FAR_OUT = (2**22, 2**22, 2**22 + 1, 2**22 + 1)
"""The corners of a box where none of an image is, and float32 still counts whole numbers."""

LEAST_ADAPTED = 0.5
"""A threshold is lowered by `eta` only while it is above this."""


def suppress(boxes: Tensor, valid: Tensor, threshold: float, eta: float = 1.0) -> Tensor:
    """Return which boxes stay, for B lists of K boxes from best to worst: B x K x 4, B x K.

    One stays if it is valid and overlaps none that stays by more than the threshold, which then
    is multiplied by `eta` while it is above 0.5.
    """
    limit = boxes.new_full((valid.shape[0],), threshold)
    kept = torch.zeros_like(valid)
    if torch.compiler.is_compiling():
        return _suppress_traced(boxes, valid, limit, eta)
    for k in range(int(valid.sum(1).max()) if valid.numel() else 0):
        covered = overlap(boxes[:, k : k + 1], boxes[:, :k]) > limit[:, None]
        stays = valid[:, k] & ~(covered & kept[:, :k]).any(1)
        kept[:, k] = stays
        limit = _adapted(limit, stays, eta)
    return kept


def _suppress_traced(boxes: Tensor, valid: Tensor, limit: Tensor, eta: float) -> Tensor:
    """Do the same in a form that torch.export can follow."""
    count = valid.shape[1]

    def goes_on(k: Tensor, *_: Tensor) -> Tensor:
        return k < count

    def step(k: Tensor, kept: Tensor, limit: Tensor) -> tuple[Tensor, ...]:
        here = k.reshape(1)
        covered = overlap(boxes.index_select(1, here), boxes) > limit[:, None]
        stays = valid.index_select(1, here)[:, 0] & ~(covered & kept).any(1)
        new = (torch.arange(count, device=k.device) == k) & stays[:, None]
        return k + 1, kept | new, _adapted(limit, stays, eta).clone()

    start = torch.zeros((), dtype=torch.int64, device=boxes.device)
    state = (start, torch.zeros_like(valid), limit)
    return while_loop(goes_on, step, state)[1]


def _adapted(limit: Tensor, stays: Tensor, eta: float) -> Tensor:
    if eta == 1:
        return limit
    return torch.where(stays & (limit > LEAST_ADAPTED), limit * eta, limit)


def emit_suppress(
    op: Op,
    boxes: str,
    scores: str,
    least: float,
    threshold: float,
    count: int | str | None = None,
) -> str:
    """Append NonMaxSuppression for lists from best to worst: a B x K mask, 1 for what stays.

    `scores`, B x K, are valid above `least`; `count` is K, as a vector where only the run tells it.
    Boxes go by rank: equal scores keep their order, and no engine gets a score below 0.
    """
    sizes = op.Shape(scores)
    if isinstance(count, int):
        most, rank = op.ints(count), op.const(np.arange(count, 0, -1).astype(np.float32))
    else:
        most = count or op.Gather(sizes, op.ints(1), axis=0)
        index = emit_indices(op, op.Squeeze(most, op.ints(0)))
        rank = op.cast(op.Sub(most, index), np.float32)
    valid = op.Greater(scores, op.scalar(least))
    ranked = op.Where(valid, rank, op.const(np.array(0, np.float32)))
    limits = (op.const(np.array([value], np.float32)) for value in (min(threshold, 1.0), 0.5))
    solid = _emit_solid(op, op.cast(boxes, np.float32), rank)
    chosen = op.NonMaxSuppression(solid, op.Unsqueeze(ranked, op.ints(1)), most, *limits)
    at = op.Gather(chosen, op.ints(0, 2), axis=1)
    none = op.Expand(op.scalar(0), sizes)
    many = op.Gather(op.Shape(at), op.ints(0), axis=0)
    return op.ScatterND(none, at, op.Expand(op.scalar(1), many))


def _emit_solid(op: Op, boxes: str, rank: str) -> str:
    """Append boxes with those that have no area moved far out, each to a place of its own.

    Caffe takes them for none, and they hide nothing. ONNX takes any two opposite corners for a box,
    and for OpenCV all boxes without an area lie upon each other.
    """
    low, high = op.Split(boxes, op.ints(2, 2), axis=-1, outputs=2)
    side = op.reduce("ReduceMin", op.Sub(high, low), [2], keepdims=1)
    steps = (op.const(np.array(numbers, np.float32)) for numbers in ((2, 0, 2, 0), FAR_OUT))
    away = op.Mul(op.Unsqueeze(rank, op.ints(1)), next(steps))
    away = op.Add(away, next(steps))
    return op.Where(op.Greater(side, op.const(np.array(0, np.float32))), boxes, away)


def emit_adaptive(
    op: Op, boxes: str, scores: str, least: float, threshold: float, eta: float
) -> str:
    """Append what `emit_suppress` does with an `eta`, which NonMaxSuppression lacks."""
    sizes = op.Shape(scores)
    count = op.Gather(sizes, op.ints(1), axis=0)
    lists = op.Gather(sizes, op.ints(0), axis=0)
    valid = op.to_float(op.Greater(scores, op.scalar(least)))
    first = op.Transpose(boxes, perm=[1, 0, 2])
    index = op.Range(
        op.const(np.array(0, np.int64)),
        op.Squeeze(count, op.ints(0)),
        op.const(np.array(1, np.int64)),
    )
    index = op.to_float(index)
    places = op.Unsqueeze(index, op.ints(0))

    def step(kept: str, limit: str, box: str, is_valid: str, at: str) -> tuple[str, ...]:
        one = op.Unsqueeze(box, op.ints(1))
        share = emit_overlap(op, one, boxes)
        over = op.to_float(op.Greater(share, limit))
        covered = op.reduce("ReduceMax", op.Mul(over, kept), [1], keepdims=1)
        free = op.Sub(op.scalar(1), covered)
        stays = op.Mul(free, op.Unsqueeze(is_valid, op.ints(1)))
        here = op.to_float(op.Equal(places, at))
        now = op.Add(kept, op.Mul(here, stays))
        high = op.to_float(op.Greater(limit, op.scalar(LEAST_ADAPTED)))
        lowers = op.to_bool(op.Mul(high, stays))
        lower = op.Mul(limit, op.scalar(eta))
        return now, op.Where(lowers, lower, limit)

    none = op.Expand(op.scalar(0), sizes)
    column = op.Concat(lists, op.ints(1), axis=0)
    limit = op.Expand(op.scalar(threshold), column)
    valid = op.Transpose(valid, perm=[1, 0])
    kept, _ = op.scan(step, (none, limit), (first, valid, index), stacked=0, ranks=(2, 2))
    return kept
