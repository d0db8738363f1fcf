"""Layers of image restoration: csjcai/RealSR, and SICE, which uses them."""

from .dtow import Dtow
from .lap_pyr import LapPyr
from .pixel_conv import PixelConv

__all__ = ["Dtow", "LapPyr", "PixelConv"]
