"""Numbers as Caffe holds them."""

from __future__ import annotations

import numpy as np

FLT_MAX = float(np.finfo(np.float32).max)
FLT_MIN = float(np.finfo(np.float32).tiny)
"""C's bounds of float, which Caffe uses in a network of doubles too."""


def float32(value: float) -> float:
    """Return the float32 nearest to `value`, as the Python float it is.

    Every float field of Caffe's messages is a C++ float, also in a network of doubles: 0.9 means
    0.89999998. Layers built by hand round their arguments alike.
    """
    return float(np.float32(value))
