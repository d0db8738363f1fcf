"""Layers that scale by statistics of their bottom."""

from .batch_norm import BatchNorm
from .lrn import LRN
from .mvn import MVN
from .scaled_batch_norm import (
    IntelBatchNorm,
    Nvidia014BatchNorm,
    Nvidia015BatchNorm,
    NvidiaBatchNorm,
)

__all__ = [
    "LRN",
    "MVN",
    "BatchNorm",
    "IntelBatchNorm",
    "Nvidia014BatchNorm",
    "Nvidia015BatchNorm",
    "NvidiaBatchNorm",
]
