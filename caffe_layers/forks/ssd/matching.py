"""Which prior boxes stand for which objects, and which of the others are learned as background.

Everything is masks over N images, M matchings of an image, P prior boxes and G objects, whose
rows come from all images.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from caffe_layers.arithmetic.ramp import emit_count, emit_indices
from caffe_layers.base.op import Op

from .bbox import area, emit_area, emit_overlap, overlap
from .suppression import emit_suppress, suppress

LEAST_OVERLAP = 1e-6
LEAST_AREA = 1e-5


def match(
    boxes: Tensor, objects: Tensor, own: Tensor, threshold: float | None, inside: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Return the matched object of every box, -1 for none, and its best overlap: N x M x P.

    `boxes` are N x M x P x 4, `objects` G x 4; `own`, N x M x G, says which objects count. First
    each object in turn, best overlap first, takes the best box that is free; then, unless
    `threshold` is None, each free box takes its best object of at least that overlap. Boxes that
    are not `inside` take no part.
    """
    shares = overlap(boxes[..., None, :], objects)
    shares = torch.where(own[:, :, None] & (shares > LEAST_OVERLAP), shares, 0)
    if inside is not None:
        shares = shares * inside[..., None]
    best, nearest = shares.max(-1)
    matched = torch.full_like(nearest, -1)
    count = objects.shape[0]
    free = shares
    places = torch.arange(boxes.shape[2], device=boxes.device)
    rows = torch.arange(count, device=boxes.device)
    for _ in range(count):
        top, at = free.flatten(2).max(-1)
        if not torch.compiler.is_compiling() and not bool((top > 0).any()):
            break
        box, row = at // count, at % count
        here = (places == box[..., None]) & (top > 0)[..., None]
        matched = torch.where(here, row[..., None], matched)
        taken = here[..., None] | (rows == row[..., None])[:, :, None]
        free = free.masked_fill(taken, 0)
    if threshold is not None:
        near = (matched < 0) & (best > 0) & (best >= threshold)
        matched = torch.where(near, nearest, matched)
    return matched, best


def hardest(loss: Tensor, eligible: Tensor, count: Tensor) -> Tensor:
    """Return which of N x P are the `count` (N) eligible ones of the highest loss."""
    order = loss.masked_fill(~eligible, -torch.inf).argsort(dim=-1, descending=True, stable=True)
    places = torch.arange(loss.shape[1], device=loss.device).expand_as(order)
    ranks = torch.zeros_like(order).scatter(1, order, places)
    return eligible & (ranks < count[:, None])


def spared(loss: Tensor, eligible: Tensor, boxes: Tensor, threshold: float, top_k: int) -> Tensor:
    """Return which eligible boxes, N x P, no eligible box of a higher loss suppresses.

    `boxes` are N x P x 4, or 1 x P x 4. The `top_k` of the highest loss take part (-1: all), and of
    these not the ones of nearly no area.
    """
    if top_k >= 0:
        eligible = hardest(
            loss, eligible, torch.full_like(eligible[:, 0], top_k, dtype=torch.int64)
        )
    eligible = eligible & (area(boxes) >= LEAST_AREA)
    order = loss.masked_fill(~eligible, -torch.inf).argsort(dim=-1, descending=True, stable=True)
    best = boxes.expand(len(loss), -1, -1).gather(1, order[..., None].expand(-1, -1, 4))
    kept = suppress(best, eligible.gather(1, order), threshold)
    return torch.zeros_like(eligible).scatter(1, order, kept)


def emit_match(
    op: Op, boxes: str, objects: str, own: str, threshold: float | None, inside: str | None
) -> tuple[str, str]:
    """Append what `match` does; `own` and `inside` are truth values, the matches floats."""
    each = op.Unsqueeze(boxes, op.ints(3))
    shares = emit_overlap(op, each, objects)
    counts = op.And(op.Unsqueeze(own, op.ints(2)), op.Greater(shares, op.scalar(LEAST_OVERLAP)))
    if inside is not None:
        inside = op.Unsqueeze(inside, op.ints(3))
        counts = op.And(counts, inside)
    shares = op.Where(counts, shares, op.scalar(0))
    best = op.reduce("ReduceMax", shares, [3], keepdims=0)
    sizes = op.Shape(shares)
    count = op.Gather(sizes, op.ints(3), axis=0)
    zero, one = (op.const(np.array(value, np.int64)) for value in (0, 1))
    rows, places = (
        op.Range(zero, op.Squeeze(op.Gather(sizes, op.ints(axis), axis=0), op.ints(0)), one)
        for axis in (3, 2)
    )

    def step(free: str, matched: str, _: str) -> tuple[str, ...]:
        flat = op.Reshape(free, op.ints(0, 0, -1))
        at = op.ArgMax(flat, axis=2, keepdims=1)
        top = op.reduce("ReduceMax", flat, [2], keepdims=1)
        box = op.Div(at, count)
        row = op.Mod(at, count)
        here = op.And(op.Equal(places, box), op.Greater(top, op.scalar(0)))
        of_row = op.Unsqueeze(op.Equal(rows, row), op.ints(2))
        of_box = op.Unsqueeze(here, op.ints(3))
        taken = op.Or(of_box, of_row)
        return (
            op.Where(taken, op.scalar(0), free),
            op.Where(here, op.to_float(row), matched),
        )

    none = op.Sub(op.Mul(best, op.scalar(0)), op.scalar(1))
    _, matched = op.scan(step, (shares, none), (objects,), stacked=0, ranks=(4, 3))
    if threshold is None:
        return matched, best
    nearest = op.to_float(op.ArgMax(shares, axis=3, keepdims=0))
    near = op.And(
        op.Less(matched, op.scalar(0)),
        op.And(op.Greater(best, op.scalar(0)), op.GreaterOrEqual(best, op.scalar(threshold))),
    )
    return op.Where(near, nearest, matched), best


def emit_spared(op: Op, loss: str, eligible: str, boxes: str, threshold: float, top_k: int) -> str:
    """Append what `spared` does."""
    if top_k >= 0:
        eligible = emit_hardest(op, loss, eligible, op.ints(top_k))
    low, high = op.Split(boxes, op.ints(2, 2), axis=-1, outputs=2)
    large = op.GreaterOrEqual(emit_area(op, low, high), op.scalar(LEAST_AREA))
    eligible = op.And(eligible, large)
    order = _emit_order(op, loss, eligible)
    sizes = op.Shape(order)
    four = op.Concat(sizes, op.ints(4), axis=0)
    index = op.Expand(op.Unsqueeze(order, op.ints(2)), four)
    every = op.Expand(boxes, four)
    best = op.GatherElements(every, index, axis=1)
    # By rank, so that equal losses keep their order.
    places = emit_indices(op, emit_count(op, order, 1))
    falling = op.Neg(op.to_float(places))
    counts = op.GatherElements(op.to_float(eligible), order, axis=1)
    lowest = float(np.finfo(np.float32).min)
    ranked = op.Where(op.to_bool(counts), falling, op.scalar(lowest))
    kept = emit_suppress(op, best, ranked, lowest / 2, threshold)
    none = op.Expand(op.scalar(0), sizes)
    kept = op.ScatterElements(none, order, kept, axis=1)
    return op.to_bool(kept)


def emit_hardest(op: Op, loss: str, eligible: str, count: str) -> str:
    """Append what `hardest` does; `count`, N x 1, is of int64."""
    order = _emit_order(op, loss, eligible)
    places = emit_indices(op, emit_count(op, order, 1))
    places = op.Expand(places, op.Shape(order))
    ranks = op.ScatterElements(order, order, places, axis=1)
    return op.And(eligible, op.Less(ranks, count))


def _emit_order(op: Op, loss: str, eligible: str) -> str:
    """Append the eligible boxes from the highest loss on, then the others."""
    lowest = op.scalar(np.finfo(op.float_type).min)
    ranked = op.Where(eligible, loss, lowest)
    many = op.Gather(op.Shape(ranked), op.ints(1), axis=0)
    return op.TopK(ranked, many, axis=1)[1]
