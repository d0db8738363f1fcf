"""Layers over volumes of C3D (facebookarchive/C3D): its versions 1.0, of V1, and 1.1."""

from .convolution3d import Convolution3D, NamedConvolution3D
from .deconvolution3d import Deconvolution3D, NamedDeconvolution3D
from .pooling3d import NamedPooling3D, Pooling3D
from .voxel_softmax import VoxelSoftmax, VoxelSoftmaxLoss

__all__ = [
    "Convolution3D",
    "Deconvolution3D",
    "NamedConvolution3D",
    "NamedDeconvolution3D",
    "NamedPooling3D",
    "Pooling3D",
    "VoxelSoftmax",
    "VoxelSoftmaxLoss",
]
