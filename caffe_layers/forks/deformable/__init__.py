"""Layers of unsky's Caffe: deformable convolution."""

from .conadd import Conadd
from .deformable_conv import DeformableConvolution

__all__ = [
    "Conadd",
    "DeformableConvolution",
]
