"""Between numpy's arrays and a network's tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from prototxt.errors import UsageError


class Placed(Protocol):
    """What has numbers of a type somewhere: a network."""

    @property
    def dtype(self) -> torch.dtype:
        """Their type."""

    @property
    def device(self) -> torch.device:
        """Where they are."""


def array_of(value: Tensor) -> np.ndarray:
    """Return a tensor's values as an array (bfloat16, which numpy lacks, as float32)."""
    value = value.detach().cpu()
    return (value.float() if value.dtype == torch.bfloat16 else value).numpy()


def arrays_of(values: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Return tensors' values as arrays, by name."""
    return {name: array_of(value) for name, value in values.items()}


def blob_array(blob: Tensor) -> np.ndarray:
    """Return a blob's values as Caffe's files hold them: doubles of float64, else floats."""
    blob = blob.detach().cpu()
    return (blob if blob.dtype == torch.float64 else blob.float()).numpy()


def tensors_of(net: Placed, inputs: Mapping[str, Any]) -> dict[str, Tensor]:
    """Return tensors, and arrays or numbers, as tensors of the network's type and device."""
    given = {
        name: value if isinstance(value, Tensor) else np.asarray(value)
        for name, value in inputs.items()
    }
    return {
        name: as_tensor(name, value, net).to(net.device, net.dtype) for name, value in given.items()
    }


def as_tensor(name: str, value: Any, net: Placed) -> Tensor:
    """Return an input as it is, an array in the network's type and on its device."""
    if isinstance(value, Tensor):
        return value
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return torch.as_tensor(_held_by_torch(value)).to(net.device, net.dtype)
    kind = f"an array of {value.dtype}" if isinstance(value, np.ndarray) else type(value).__name__
    raise UsageError(f"input {name!r} is {kind}, wants a tensor or an array of numbers")


def _held_by_torch(array: np.ndarray) -> np.ndarray:
    """Return an array's numbers as torch can have them: in this machine's order, of its types."""
    wide = array.dtype.kind == "f" and array.dtype.itemsize > np.dtype(np.float64).itemsize
    dtype = np.dtype(np.float64) if wide else array.dtype.newbyteorder("=")
    return np.asarray(array, dtype, order="C")


def as_given(values: dict[str, Tensor], inputs: Any) -> dict[str, Any]:
    """Return values as arrays if the inputs were arrays, else as they are."""
    given = inputs.values() if isinstance(inputs, Mapping) else [inputs]
    if any(isinstance(value, np.ndarray) for value in given):
        return arrays_of(values)
    return values
