"""`max(x, 0) + slope * min(x, 0)`: ReLU's arithmetic, which some convolutions do too."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor


def rectify(x: Tensor, slope: float) -> Tensor:
    """Return x with its negative values times `slope`."""
    return F.leaky_relu(x, slope) if slope else F.relu(x)


def onnx_rectify(op: Any, x: str, slope: float, **to: Any) -> Any:
    """Append what `rectify` does."""
    return op.LeakyRelu(x, alpha=slope, **to) if slope else op.Relu(x, **to)


def rectify_source(py: Any, x: str, slope: float) -> Any:
    """Return Python source of what `rectify` does."""
    return py.call("F.leaky_relu", x, slope) if slope else py.call("F.relu", x)
