"""What float16 can hold."""

from __future__ import annotations

import numpy as np

LARGEST = float(np.finfo(np.float16).max)
SMALLEST_NORMAL = float(np.finfo(np.float16).smallest_normal)


def fits_half(array: np.ndarray) -> bool:
    """Tell whether float16 holds an array: nothing overflows, and not all of it is subnormal."""
    most = largest_finite(array)
    return most == 0 or SMALLEST_NORMAL <= most <= LARGEST


def largest_finite(array: np.ndarray) -> float:
    """Return the largest magnitude in an array, but for infinity and NaN."""
    return float(np.abs(array[np.isfinite(array)]).max(initial=0))
