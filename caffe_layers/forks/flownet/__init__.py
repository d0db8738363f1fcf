"""Layers of FlowNet2 (lmb-freiburg/flownet2): optical flow between two images."""

from .accum import Accum
from .channel_norm import ChannelNorm
from .correlation import Correlation
from .correlation_1d import Correlation1D
from .data_augmentation import DataAugmentation
from .downsample import Downsample
from .flow_warp import FlowWarp
from .l1_loss import L1Loss
from .lpq_loss import LpqLoss
from .mean import Mean
from .neg_relu import NegReLU
from .refused import (
    BlackAugmentation,
    CustomData,
    FloatReader,
    FlowAugmentation,
    GenerateAugmentationParameters,
    ImgReader,
)
from .resample import Resample
from .scaled_eltwise import ScaledEltwise
from .writers import FloatWriter, FLOWriter, ImgWriter, PFMWriter

__all__ = [
    "Accum",
    "BlackAugmentation",
    "ChannelNorm",
    "Correlation",
    "Correlation1D",
    "CustomData",
    "DataAugmentation",
    "Downsample",
    "FLOWriter",
    "FloatReader",
    "FloatWriter",
    "FlowAugmentation",
    "FlowWarp",
    "GenerateAugmentationParameters",
    "ImgReader",
    "ImgWriter",
    "L1Loss",
    "LpqLoss",
    "Mean",
    "NegReLU",
    "PFMWriter",
    "Resample",
    "ScaledEltwise",
]
