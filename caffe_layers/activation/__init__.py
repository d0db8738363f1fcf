"""Element by element, one bottom to one top."""

from .absval import AbsVal
from .bnll import BNLL
from .clip import Clip
from .dropout import Dropout
from .elu import ELU
from .exp import Exp
from .log import Log
from .power import Power
from .prelu import PReLU
from .relu import ReLU
from .sigmoid import Sigmoid
from .swish import Swish
from .tanh import TanH
from .threshold import Threshold

__all__ = [
    "BNLL",
    "ELU",
    "AbsVal",
    "Clip",
    "Dropout",
    "Exp",
    "Log",
    "PReLU",
    "Power",
    "ReLU",
    "Sigmoid",
    "Swish",
    "TanH",
    "Threshold",
]
