"""What a conversion raises: the errors of the files and their networks."""

from __future__ import annotations

from prototxt.errors import (
    CaffeError,
    FormatError,
    ShapeError,
    UnsupportedError,
    UsageError,
    WeightError,
)

__all__ = [
    "CaffeError",
    "FormatError",
    "ShapeError",
    "UnsupportedError",
    "UsageError",
    "WeightError",
]
