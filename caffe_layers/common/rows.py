"""Row numbers: blobs of floats that name the rows of another."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.arithmetic.indices import check_indices


def row_numbers(values: Tensor, rows: int) -> Tensor:
    """Return the values truncated to integers, as Caffe reads them.

    Raises ShapeError for a number outside of 0..rows - 1.
    """
    numbers = values.long()
    check_indices(numbers, rows, "row numbers")
    return numbers
