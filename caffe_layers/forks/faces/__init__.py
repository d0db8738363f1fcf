"""Layers of happynear's caffe-windows: embeddings of faces."""

from .arccos import Arccos
from .channel_scale import ChannelScale
from .cosine import Cosine
from .eltwise import FaceEltwise
from .eltwise_affine import EltwiseAffine
from .flip import Flip
from .inner_product import FaceInnerProduct
from .insanity import Insanity
from .local import Local
from .noise import Noise
from .normalize import FaceNormalize
from .pairwise import Pairwise
from .refused import Hotspot, SubRegion
from .resize import Resize
from .scale import FaceScale
from .slope import Slope
from .smooth_l1_loss import FaceSmoothL1Loss
from .soft_truncation import SoftTruncation
from .truncation import Truncation

__all__ = [
    "Arccos",
    "ChannelScale",
    "Cosine",
    "EltwiseAffine",
    "FaceEltwise",
    "FaceInnerProduct",
    "FaceNormalize",
    "FaceScale",
    "FaceSmoothL1Loss",
    "Flip",
    "Hotspot",
    "Insanity",
    "Local",
    "Noise",
    "Pairwise",
    "Resize",
    "Slope",
    "SoftTruncation",
    "SubRegion",
    "Truncation",
]
