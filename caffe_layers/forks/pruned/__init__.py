"""Networks with few weights left: dynamic network surgery's layers, and SkimCaffe's fused ones."""

from .cconvolution import CConvolution
from .cinner_product import CInnerProduct
from .fused_convolution import ConvolutionReLU, ConvolutionReLUPool, ConvolutionReLUPoolLRN
from .inner_product_relu_dropout import InnerProductReLUDropout
from .relu_pooling import ReLUPooling
from .winograd import Winograd

__all__ = [
    "CConvolution",
    "CInnerProduct",
    "ConvolutionReLU",
    "ConvolutionReLUPool",
    "ConvolutionReLUPoolLRN",
    "InnerProductReLUDropout",
    "ReLUPooling",
    "Winograd",
]
