"""The layers of SENet and SKNet."""

from .axpy import Axpy
from .cudnn_batch_norm import CuDNNBatchNorm

__all__ = [
    "Axpy",
    "CuDNNBatchNorm",
]
