"""Layers of naibaf7/caffe (greentea): windows of any number of axes, with holes."""

from .dilated_pooling import DilatedPooling

__all__ = ["DilatedPooling"]
