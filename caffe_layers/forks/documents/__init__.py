"""Layers of networks that binarize and segment documents (ctensmeyer/caffe)."""

from .bilinear_interpolation import BilinearInterpolation
from .precision_recall import PrecisionRecall

__all__ = ["BilinearInterpolation", "PrecisionRecall"]
