"""Margins between classes: L-Softmax, SphereFace, NormFace, AM-Softmax, ArcFace and AdaCos."""

from .adacos_add_m_scale import AdaCosAddmScale
from .combined_margin import CombinedMargin
from .cosin_add_m import CosinAddm
from .label_specific_add import LabelSpecificAdd
from .label_specific_margin import LabelSpecificMargin
from .label_specific_rescale import LabelSpecificRescale
from .largemargin_inner_product import LargeMarginInnerProduct
from .margin_inner_product import MarginInnerProduct
from .norm_l2 import NormL2

__all__ = [
    "AdaCosAddmScale",
    "CombinedMargin",
    "CosinAddm",
    "LabelSpecificAdd",
    "LabelSpecificMargin",
    "LabelSpecificRescale",
    "LargeMarginInnerProduct",
    "MarginInnerProduct",
    "NormL2",
]
