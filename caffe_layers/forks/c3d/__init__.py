"""Layers over volumes, of C3D 1.0 and 1.1 (facebookarchive/C3D) and of chuckcho/video-caffe."""

from .convolution3d import Convolution3D, NamedConvolution3D
from .deconvolution3d import Deconvolution3D, NamedDeconvolution3D
from .nd_convolution import NdConvolution
from .nd_pooling import NdPooling
from .pooling3d import NamedPooling3D, Pooling3D
from .video_data import ClipData
from .voxel_softmax import VoxelSoftmax, VoxelSoftmaxLoss

__all__ = [
    "ClipData",
    "Convolution3D",
    "Deconvolution3D",
    "NamedConvolution3D",
    "NamedDeconvolution3D",
    "NamedPooling3D",
    "NdConvolution",
    "NdPooling",
    "Pooling3D",
    "VoxelSoftmax",
    "VoxelSoftmaxLoss",
]
