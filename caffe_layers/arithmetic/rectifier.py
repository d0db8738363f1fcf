"""`max(x, 0) + slope * min(x, 0)`: ReLU's arithmetic, which some convolutions do too."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.op import Op, Py


def rectify(x: Tensor, slope: float) -> Tensor:
    """Return x with its negative values times `slope`."""
    return F.leaky_relu(x, slope) if slope else F.relu(x)


def onnx_rectify(op: Op, x: str, slope: float) -> str:
    """Append what `rectify` does."""
    return op.LeakyRelu(x, alpha=slope) if slope else op.Relu(x)


def rectify_source(py: Py, x: str, slope: float) -> str:
    """Return Python source of what `rectify` does."""
    return py.call("F.leaky_relu", x, slope) if slope else py.call("F.relu", x)
