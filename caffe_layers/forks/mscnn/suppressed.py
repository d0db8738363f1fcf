"""From boxes with scores to regions: the best ones, without those that a better one hides."""

from __future__ import annotations

from functools import partial

import numpy as np
import torch
from torch import Tensor

from caffe_layers.arithmetic.ramp import emit_indices
from caffe_layers.arithmetic.suppression import survivors
from caffe_layers.base.number import FLT_MAX
from caffe_layers.base.op import Op
from prototxt.errors import UnsupportedError


def hides(boxes: Tensor, mode: str, pixel: float, threshold: float, a: Tensor, b: Tensor) -> Tensor:
    """Tell which of the boxes `a` hide which of the boxes `b`, as a matrix.

    Boxes are corners, and `pixel` is what the last pixel adds to a side. What they have in common
    is divided by their union (IOU), by the smaller one (IOMU) or by a's own (IOFU); boxes without
    a side hide none, nor are they hidden.
    """
    first, second = boxes[a][:, None], boxes[b][None]
    low = torch.maximum(first[..., :2], second[..., :2])
    high = torch.minimum(first[..., 2:], second[..., 2:])
    apart = ((low > high) if pixel else (low >= high)).any(-1)
    if pixel:
        apart |= low[..., 1] >= high[..., 1]
    common = (high - low + pixel).prod(-1).masked_fill(apart, 0)
    areas = [(part[..., 2:] - part[..., :2] + pixel).prod(-1) for part in (first, second)]
    none = [
        ((part[..., 2:] < part[..., :2]) if pixel else (part[..., 2:] <= part[..., :2])).any(-1)
        for part in (first, second)
    ]
    if mode == "IOMU":
        whole = torch.minimum(*areas)
    elif mode == "IOFU":
        whole = areas[0].expand_as(common)
    else:
        whole = areas[0] + areas[1] - common
    return (common / whole > threshold) & ~(none[0] | none[1])


def best(
    boxes: Tensor,
    scores: Tensor,
    *,
    mode: str,
    pixel: float,
    threshold: float,
    before: int = 0,
    after: int = 0,
) -> Tensor:
    """Return which boxes are left, from the best to the worst; equal ones in their order.

    Of the first `before` alone, and `after` of them at most; 0 is no limit.
    """
    order = scores.argsort(descending=True, stable=True)
    order = order[:before] if before else order
    ranked = boxes[order]
    rule = partial(hides, ranked, mode, pixel, threshold)
    return order[survivors(torch.ones_like(order).bool(), rule, after or None)]


def emit_best(
    op: Op,
    boxes: str,
    scores: str,
    *,
    mode: str,
    pixel: float,
    threshold: float,
    before: int = 0,
    after: int = 0,
) -> tuple[str, str]:
    """Append what `best` does, for lists of boxes, L x K x 4, and of scores, L x K.

    Return the boxes from best to worst, L x K x 4, with their scores behind them as a fifth value,
    and of those that are left the list and the place, R x 2, list by list. A score of -FLT_MAX is
    of no box. Where boxes touch by less than a pixel they count as overlapping, which matters for
    boxes about as narrow.
    """
    if mode not in ("IOU", ""):
        raise UnsupportedError(f"nms_type {mode!r}: ONNX suppresses by the union of boxes alone")
    total = op.Slice(op.Shape(scores), op.ints(1), op.ints(2))
    most = op.Min(total, op.ints(before)) if before else total
    ranked, order = op.TopK(scores, most, axis=1)
    column = op.Unsqueeze(order, op.ints(2))
    places = op.Concat(column, column, column, column, axis=2)
    boxes = op.GatherElements(boxes, places, axis=1)
    index = emit_indices(op, op.Squeeze(most, op.ints(0)))
    rank = op.to_float(op.Sub(most, index))  # by rank, so that equal scores keep their order
    valid = op.to_float(op.Greater(ranked, op.scalar(-FLT_MAX)))
    rank = op.Unsqueeze(op.Mul(rank, valid), op.ints(1))
    whole = op.Add(boxes, op.floats((0, 0, pixel, pixel))) if pixel else boxes
    chosen = op.NonMaxSuppression(
        op.cast(whole, np.float32),
        op.cast(rank, np.float32),
        op.ints(after) if after else most,
        op.const(np.array(threshold, np.float32)),
        op.const(np.array(0.5, np.float32)),
    )
    at = op.Gather(chosen, op.ints(0, 2), axis=1)
    return op.Concat(boxes, op.Unsqueeze(ranked, op.ints(2)), axis=2), at


def emit_or_else(op: Op, rows: str, otherwise: str) -> str:
    """Append rows, or where there are none the one row `otherwise`."""
    both = op.Concat(rows, otherwise, axis=0)
    count = op.Slice(op.Shape(rows), op.ints(0), op.ints(1), op.ints(0))
    return op.Slice(both, op.ints(0), op.Max(count, op.ints(1)), op.ints(0))
