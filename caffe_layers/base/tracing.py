"""Whether a layer may look at its values to take a shorter way."""

from __future__ import annotations

import torch
from torch import Tensor

from .private_torch import is_traced_by_jit


def may_look(x: Tensor) -> bool:
    """Tell whether the values are at hand: not traced, and not on a device to be waited for."""
    traced = torch.compiler.is_compiling() or is_traced_by_jit()
    return x.device.type == "cpu" and not traced
