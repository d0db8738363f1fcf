"""Clipping of gradients by their common norm.

Caffe: src/caffe/solvers/sgd_solver.cpp, ClipGradients
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils import get_total_norm


def clip_scale(gradients: Sequence[Tensor], clip_gradients: float) -> Tensor | None:
    """Return what to multiply gradients by so that their L2 norm is at most `clip_gradients`.

    The norm is that of all of them together. A negative `clip_gradients` means that they are not
    clipped, and gives None. The result stays on the gradients' device: nothing waits for it.
    """
    if clip_gradients < 0 or not gradients:
        return None
    norm = get_total_norm(gradients)
    return torch.where(norm > clip_gradients, clip_gradients / norm, torch.ones_like(norm))
