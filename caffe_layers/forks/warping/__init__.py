"""Layers that read an image elsewhere, as a flow or coordinates say, and LiteFlowNet's others.

NVlabs/PWC-Net, twhui/LiteFlowNet, bryanyzhu/Hidden-Two-Stream, tinghuiz/appearance-flow.
"""

from .coordinate_warp import CoordinateWarp
from .exp_max import ExpMax
from .flow_transformer import FlowTransformer
from .grid import Grid
from .neg_square import NegSquare
from .power_file import PowerFile
from .remap import Remap
from .spatial_transformer import SpatialTransformer
from .warp import Warp

__all__ = [
    "CoordinateWarp",
    "ExpMax",
    "FlowTransformer",
    "Grid",
    "NegSquare",
    "PowerFile",
    "Remap",
    "SpatialTransformer",
    "Warp",
]
