"""Arithmetic between blobs, and what cuts, joins and reshapes them."""

from .argmax import ArgMax
from .batch_reindex import BatchReindex
from .bias import Bias
from .concat import Concat
from .crop import AutoCrop, Crop
from .eltwise import Eltwise
from .embed import Embed
from .filter import ChannelFilter, Filter
from .flatten import Flatten
from .inner_product import InnerProduct
from .parameter import Parameter
from .reduction import Reduction
from .reshape import Reshape
from .scale import Scale
from .silence import Silence
from .slice import Slice
from .softmax import Softmax
from .split import Split
from .tile import Tile

__all__ = [
    "ArgMax",
    "AutoCrop",
    "BatchReindex",
    "Bias",
    "ChannelFilter",
    "Concat",
    "Crop",
    "Eltwise",
    "Embed",
    "Filter",
    "Flatten",
    "InnerProduct",
    "Parameter",
    "Reduction",
    "Reshape",
    "Scale",
    "Silence",
    "Slice",
    "Softmax",
    "Split",
    "Tile",
]
