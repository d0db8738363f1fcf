"""Layers of weights and activations of one or two bits.

zhaoweicai/hwgq, loswensiana/BWN-XNOR-caffe, zzqiuzz/caffe-zz, fengfu-chris/caffe-twns,
CAS-CLab/Optimal-Ternary-Weights-Approximation.
"""

from .all_pass import AllPass
from .bin_activ import BinActiv
from .binary_convolution import BinaryConvolution, BwnConvolution, ZzBinaryConvolution
from .binary_inner_product import BinaryInnerProduct, ZzBinaryInnerProduct
from .quant import Quant
from .split_concat import SplitConcat, Statistic
from .ternary import TernaryConvolution, TernaryInnerProduct
from .twn import TwnConvolution, TwnInnerProduct

__all__ = [
    "AllPass",
    "BinActiv",
    "BinaryConvolution",
    "BinaryInnerProduct",
    "BwnConvolution",
    "Quant",
    "SplitConcat",
    "Statistic",
    "TernaryConvolution",
    "TernaryInnerProduct",
    "TwnConvolution",
    "TwnInnerProduct",
    "ZzBinaryConvolution",
    "ZzBinaryInnerProduct",
]
