"""Fully connected random fields: DeepLab's layer, and that of CRF-RNN."""

from .densecrf import DenseCRF
from .multi_stage_meanfield import MultiStageMeanfield

__all__ = ["DenseCRF", "MultiStageMeanfield"]
