"""Where the kernels run: on CUDA devices with Triton, and on the CPU in Triton's interpreter."""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

DTYPES = frozenset({torch.float16, torch.bfloat16, torch.float32, torch.float64})
CAPABILITY = (7, 0)  # of the oldest GPUs that Triton compiles for

# The kernels take tuples of pointers, which Triton knows since 3.3: it came with torch 2.7. This
# is no comparison of strings: torch's version is a class of its own.
HAS_TRITON = find_spec("triton") is not None and torch.__version__ >= "2.7"
INTERPRETED = HAS_TRITON and os.environ.get("TRITON_INTERPRET", "").lower() in {
    *("1", "true", "yes", "y", "on"),
}
"""Triton's own switch; it reads it when it is imported, and so it is read once here too."""


def wants_operator(tensors: Iterable[Tensor]) -> bool:
    """Tell whether the operator should take the plain form's place for these tensors.

    The operator stands where the kernels run, and nowhere else: on other devices a compiler can
    fuse the plain form with its neighbours, and an exported program needs torch alone. ONNX has
    no such operator. The tensors must have one dtype; autocast sees to that, but for float64.
    """
    first, *others = tensors
    if not (INTERPRETED or (HAS_TRITON and first.is_cuda)) or torch.onnx.is_in_onnx_export():
        return False
    if torch.is_autocast_enabled(first.device.type):
        return all(tensor.dtype in DTYPES - {torch.float64} for tensor in (first, *others))
    return first.dtype in DTYPES and all(tensor.dtype == first.dtype for tensor in others)


def launches(tensor: Tensor) -> bool:
    """Tell whether the operator launches the kernel for such a tensor, or takes the plain form."""
    return INTERPRETED or (HAS_TRITON and tensor.is_cuda and _is_new_enough(tensor.device))


@cache
def _is_new_enough(device: torch.device) -> bool:
    return torch.version.hip is not None or torch.cuda.get_device_capability(device) >= CAPABILITY


def sum_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype in which values of a dtype are multiplied and added."""
    return torch.float64 if dtype is torch.float64 else torch.float32
