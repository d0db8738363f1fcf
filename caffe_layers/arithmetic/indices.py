"""Indices: blobs of floats that name rows, classes or labels."""

from __future__ import annotations

import torch
from torch import Tensor

from prototxt.errors import ShapeError


def check_indices(indices: Tensor, count: int, what: str) -> None:
    """Raise ShapeError for an index outside of 0..count - 1, where Caffe reads foreign memory.

    In a model that is compiled or exported the values are not known, and nothing is checked.
    """
    if indices.numel() and not torch.compiler.is_compiling():
        least, most = (int(index) for index in indices.aminmax())
        if least < 0 or most >= count:
            raise ShapeError(f"the {what} go from {least} to {most}, wants 0 to {count - 1}")
