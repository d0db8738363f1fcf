"""Weights whose rows are of unit length, as happynear's layers keep them."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of

EPS = 1e-6


def unit_rows(rows: Tensor) -> Tensor:
    """Return each row w divided by `sqrt(|w|^2 + 1e-6)`."""
    unit: Tensor = rows / (rows.square().sum(1, keepdim=True) + EPS).sqrt()
    return unit


def kept_unit(weight: Tensor) -> Tensor:
    """Return a blob with rows of unit length, and keep it so, but in a compiled model.

    The gradient is that of the row as it is then.
    """
    unit = unit_rows(weight.detach())
    if not torch.compiler.is_compiling():
        # By .data: a graph that already holds the weight, of an earlier pass, stays as it is.
        weight.data.copy_(unit)
    return gradient_of(unit, weight)
