"""The layers that small repositories added for networks on phones."""

from .conv_dw import ConvolutionDepthwise
from .depthwise_conv import DepthwiseConvolution
from .hard_sigmoid import HardSigmoid
from .hswish import HardSwish, HardSwish02, HSwish, HSwish02
from .mish import Mish
from .selu import SeLu
from .selu_dropout import SeLuDropout
from .shuffle_channel import ShuffleChannel

__all__ = [
    "ConvolutionDepthwise",
    "DepthwiseConvolution",
    "HSwish",
    "HSwish02",
    "HardSigmoid",
    "HardSwish",
    "HardSwish02",
    "Mish",
    "SeLu",
    "SeLuDropout",
    "ShuffleChannel",
]
