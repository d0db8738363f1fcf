"""Resizing as two matrix products: each spatial axis of a top is a linear map of the bottom's."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape
from caffe_layers.memory import SIZES
from prototxt.errors import UnsupportedError

Matrix = NDArray[np.float64]

MOST_WEIGHTS = 1 << 25
"""Numbers of one matrix: 4096 to 8192 still is one, of 256 MiB."""


def bilinear(at: NDArray[Any], size: int) -> Matrix:
    """Return the len(at) x size matrix that reads between two neighbours; the last has no next."""
    at = np.asarray(at, np.float64)
    low = np.clip(np.floor(at), 0, size - 1).astype(int)
    high = np.minimum(low + 1, size - 1)
    part = at - low
    matrix = np.zeros((len(at), size))
    places = np.arange(len(at))
    np.add.at(matrix, (places, low), 1 - part)
    np.add.at(matrix, (places, high), part)
    return matrix


def require_mappable(sizes: Shape, tops: Shape) -> None:
    """Raise UnsupportedError where resizing takes more weights, or places, than are made here."""
    for size, top in zip(sizes, tops, strict=True):
        if size * top > MOST_WEIGHTS:
            raise UnsupportedError(
                f"{size} to {top} takes {size * top:,} weights, at most {MOST_WEIGHTS:,} are made",
                fix=SIZES,
            )


def mapped(x: Tensor, rows: Matrix, columns: Matrix) -> Tensor:
    """Return `rows * x * columns^T` for the last two axes of x."""
    left, right = (torch.as_tensor(m, dtype=x.dtype, device=x.device) for m in (rows, columns))
    return left @ x @ right.mT


def onnx_mapped(op: Op, x: str, rows: Matrix, columns: Matrix) -> str:
    """Append what `mapped` does."""
    left, right = op.array("rows", rows), op.array("columns", columns.T)
    return op.MatMul(op.MatMul(left, x), right)


def require_fixed_sizes(op: Op, *values: str) -> None:
    """Raise UnsupportedError where height or width of a value is known only at run time."""
    if any(any(op.dynamic(value)[2:]) for value in values):
        raise UnsupportedError(
            "the weights of this resizing depend on height and width, which are not fixed",
            fix="export with a dynamic batch alone",
        )
