"""The base of Exp and Log."""

from __future__ import annotations

from math import inf, log

from caffe_layers.base.checks import require


def log_of_base(base: float) -> float:
    """Return the natural logarithm of `base`, of which -1 stands for e."""
    if base == -1:
        return 1.0
    require(0 < base < inf, f"base {base} wants to be positive, or -1 for e")
    return log(base)
