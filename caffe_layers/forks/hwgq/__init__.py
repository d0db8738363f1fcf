"""Layers of HWGQ (zhaoweicai/hwgq): weights of one bit, activations of a few."""

from .binary_convolution import BinaryConvolution
from .binary_inner_product import BinaryInnerProduct
from .quant import Quant

__all__ = ["BinaryConvolution", "BinaryInnerProduct", "Quant"]
