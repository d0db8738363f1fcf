"""Regions with a margin."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_layers.base.op import Op
from caffe_layers.forks.rcnn.region import column


def enlarged(rois: Tensor, ratio: float) -> Tensor:
    """Return regions, R x 5, with a margin of `ratio` sides all round."""
    margin = (rois[:, 3:] - rois[:, 1:3] + 1) * ratio
    return torch.cat((rois[:, :1], rois[:, 1:3] - margin, rois[:, 3:] + margin), 1)


def emit_enlarged(op: Op, rois: str, ratio: float) -> str:
    """Append what `enlarged` does."""
    low, high = (op.Slice(rois, op.ints(at), op.ints(at + 2), op.ints(1)) for at in (1, 3))
    sides = op.Add(op.Sub(high, low), op.scalar(1))
    margin = op.Mul(sides, op.scalar(ratio))
    return op.Concat(column(op, rois, 0), op.Sub(low, margin), op.Add(high, margin), axis=1)
