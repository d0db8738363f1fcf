"""Windows that slide over images."""

from .conv import Convolution
from .deconv import Deconvolution
from .im2col import Im2col
from .pooling import Pooling, PoolingND
from .spp import SPP

__all__ = [
    "SPP",
    "Convolution",
    "Deconvolution",
    "Im2col",
    "Pooling",
    "PoolingND",
]
