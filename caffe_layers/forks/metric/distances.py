"""What NormFace's losses of distances between samples and classes share."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from torch import Tensor

from caffe_layers.arithmetic.indices import check_indices
from caffe_layers.base.checks import require
from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape


def check_distances(x: Shape, label: Shape) -> None:
    """Raise ShapeError unless there is one label for each of the N samples of x, N x D."""
    require(len(x) > 0 and prod(label) == x[0], f"labels {label} of {x}: wants one a sample")
    require(prod(x[1:]) > 1, f"bottom {x} has {prod(x[1:])} distances each, wants 2 or more")


def own_columns(rows: Tensor, label: Tensor) -> tuple[Tensor, Tensor]:
    """Return the labels, N x 1, and which of N x D columns are theirs."""
    index = label.detach().reshape(-1, 1).long()
    check_indices(index, rows.shape[1], "labels")
    return index, torch.arange(rows.shape[1], device=rows.device) == index


def emit_rows(op: Op, x: str, label: str) -> tuple[str, str, str]:
    """Append x as N x D, the labels, N x 1, and which columns are theirs."""
    width = prod(op.shape(x)[1:])
    rows = op.Reshape(x, op.ints(-1, width))
    index = op.to_int(op.Reshape(label, op.ints(-1, 1)))
    return rows, index, op.Equal(op.const(np.arange(width)[None]), index)


def emit_share(op: Op, total: str, rows: str, times: int = 1) -> str:
    """Append `total / (N times)`, N being the number of rows."""
    count = op.to_float(op.Gather(op.Shape(rows), op.ints(0), axis=0))
    return op.Div(total, count if times == 1 else op.Mul(count, op.scalar(times)))
