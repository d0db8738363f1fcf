"""Row numbers: blobs of floats that name the rows of another."""

from __future__ import annotations

import torch
from torch import Tensor

from ..checks import require


def row_numbers(values: Tensor, rows: int) -> Tensor:
    """Return the values truncated to integers, as Caffe reads them.

    Raises ShapeError for a number outside of 0..rows - 1, except in a model that is compiled or
    exported: there the values are not known.
    """
    numbers = values.long()
    if numbers.numel() and not torch.compiler.is_compiling():
        least, most = (int(number) for number in numbers.aminmax())
        inside = least >= 0 and most < rows
        require(inside, f"the row numbers go from {least} to {most}, wants 0 to {rows - 1}")
    return numbers
