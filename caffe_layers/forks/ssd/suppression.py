"""Greedy suppression of boxes that overlap a better one too much."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch._higher_order_ops.while_loop import while_loop

from .bbox import emit_overlap, overlap

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
    kept: Tensor = while_loop(goes_on, step, state)[1]  # type: ignore[no-untyped-call]  # torch's
    return kept


def _adapted(limit: Tensor, stays: Tensor, eta: float) -> Tensor:
    if eta == 1:
        return limit
    return torch.where(stays & (limit > LEAST_ADAPTED), limit * eta, limit)


def emit_suppress(op: Any, boxes: str, scores: str, least: float, threshold: float) -> Any:
    """Append NonMaxSuppression for lists from best to worst: a B x K mask, 1 for what stays.

    `scores`, B x K, are valid above `least`.
    """
    low, high = op.Split(
        op.cast(boxes, np.float32, name="nms/boxes"),
        op.ints(2, 2),
        axis=-1,
        outputs=2,
        name="nms/corners",
    )
    # ONNX takes any two opposite corners for a box, Caffe an inverted one for none.
    upright = op.Concat(low, op.Max(low, high, name="nms/far"), axis=-1, name="nms/upright")
    ranked = op.Unsqueeze(
        op.cast(scores, np.float32, name="nms/scores"), op.ints(1), name="nms/of_class"
    )
    sizes = op.Shape(scores, name="nms/sizes")
    count = op.Gather(sizes, op.ints(1), axis=0, name="nms/count")
    limits = (op.const(np.array([value], np.float32)) for value in (min(threshold, 1.0), least))
    chosen = op.NonMaxSuppression(upright, ranked, count, *limits, name="nms/chosen")
    at = op.Gather(chosen, op.ints(0, 2), axis=1, name="nms/at")
    none = op.Expand(op.scalar(0), sizes, name="nms/none")
    many = op.Gather(op.Shape(at, name="nms/rows"), op.ints(0), axis=0, name="nms/many")
    return op.ScatterND(none, at, op.Expand(op.scalar(1), many, name="nms/ones"), name="nms/kept")


def emit_adaptive(
    op: Any, boxes: str, scores: str, least: float, threshold: float, eta: float
) -> Any:
    """Append what `emit_suppress` does with an `eta`, which NonMaxSuppression lacks."""
    sizes = op.Shape(scores, name="nms/sizes")
    count = op.Gather(sizes, op.ints(1), axis=0, name="nms/count")
    lists = op.Gather(sizes, op.ints(0), axis=0, name="nms/lists")
    valid = op.to_float(op.Greater(scores, op.scalar(least), name="nms/valid"), name="nms/counts")
    first = op.Transpose(boxes, perm=[1, 0, 2], name="nms/first")
    index = op.Range(
        op.const(np.array(0, np.int64)),
        op.Squeeze(count, op.ints(0), name="nms/number"),
        op.const(np.array(1, np.int64)),
        name="nms/range",
    )
    index = op.to_float(index, name="nms/index")
    places = op.Unsqueeze(index, op.ints(0), name="nms/places")

    def step(kept: str, limit: str, box: str, is_valid: str, at: str) -> tuple[str, ...]:
        one = op.Unsqueeze(box, op.ints(1), name="nms/one")
        share = emit_overlap(op, one, boxes, "nms/iou")
        over = op.to_float(op.Greater(share, limit, name="nms/over"), name="nms/is_over")
        covered = op.reduce(
            "ReduceMax",
            op.Mul(over, kept, name="nms/covers"),
            [1],
            keepdims=1,
            name="nms/covered",
        )
        free = op.Sub(op.scalar(1), covered, name="nms/free")
        stays = op.Mul(free, op.Unsqueeze(is_valid, op.ints(1), name="nms/of_list"), name="stays")
        here = op.to_float(op.Equal(places, at, name="nms/here"), name="nms/is_here")
        now = op.Add(kept, op.Mul(here, stays, name="nms/new"), name="nms/now")
        high = op.to_float(
            op.Greater(limit, op.scalar(LEAST_ADAPTED), name="nms/high"), name="nms/is_high"
        )
        lowers = op.to_bool(op.Mul(high, stays, name="nms/lowered"), name="nms/lowers")
        lower = op.Mul(limit, op.scalar(eta), name="nms/lower")
        return now, op.Where(lowers, lower, limit, name="nms/limit")

    none = op.Expand(op.scalar(0), sizes, name="nms/none")
    column = op.Concat(lists, op.ints(1), axis=0, name="nms/column")
    limit = op.Expand(op.scalar(threshold), column, name="nms/limits")
    valid = op.Transpose(valid, perm=[1, 0], name="nms/valid_first")
    kept, _ = op.scan(step, (none, limit), (first, valid, index), stacked=0, ranks=(2, 2))
    return kept
