"""Layers of naibaf7/caffe (greentea): windows of any number of axes, with holes, and U-Nets."""

from .dilated_pooling import DilatedPooling
from .merge_crop import MergeCrop
from .training import Affinity, DataRandTransform

__all__ = ["Affinity", "DataRandTransform", "DilatedPooling", "MergeCrop"]
