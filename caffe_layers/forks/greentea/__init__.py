"""Layers of naibaf7/caffe (greentea): windows of any number of axes, with holes, and U-Nets."""

from .dilated_pooling import DilatedPooling
from .merge_crop import MergeCrop

__all__ = ["DilatedPooling", "MergeCrop"]
