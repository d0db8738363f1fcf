"""Networks with few weights left: of dynamic network surgery, DeepCompression and SkimCaffe."""

from .cconvolution import CConvolution
from .cinner_product import CInnerProduct
from .compressed import CmpConvolution, CmpInnerProduct
from .fused_convolution import ConvolutionReLU, ConvolutionReLUPool, ConvolutionReLUPoolLRN
from .inner_product_relu_dropout import InnerProductReLUDropout
from .relu_pooling import ReLUPooling
from .winograd import Winograd

__all__ = [
    "CConvolution",
    "CInnerProduct",
    "CmpConvolution",
    "CmpInnerProduct",
    "ConvolutionReLU",
    "ConvolutionReLUPool",
    "ConvolutionReLUPoolLRN",
    "InnerProductReLUDropout",
    "ReLUPooling",
    "Winograd",
]
