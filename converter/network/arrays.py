"""Between numpy's arrays and a network's tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .net import CaffeNet


def array_of(value: Tensor) -> np.ndarray:
    """Return a tensor's values as an array (bfloat16, which numpy lacks, as float32)."""
    value = value.detach().cpu()
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()


def blob_array(blob: Tensor) -> np.ndarray:
    """Return a blob's values as Caffe's files hold them: doubles of float64, else floats."""
    blob = blob.detach().cpu()
    return (blob if blob.dtype == torch.float64 else blob.float()).numpy()


def tensors_of(net: CaffeNet, inputs: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return arrays as tensors of the network's type and device."""
    return {
        name: torch.as_tensor(np.asarray(value, order="C")).to(net.device, net.dtype)
        for name, value in inputs.items()
    }
