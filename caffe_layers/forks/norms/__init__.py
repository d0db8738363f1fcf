"""Layers that normalise each sample by itself: groups of channels, and single planes.

blankWorld/GroupNorm-caffe, GuoShi28/Caffe-Instance-Normalization-and-Guided-Instance-Normalization.
"""

from .group_norm import GroupNorm
from .instance_norm import InstanceNorm

__all__ = ["GroupNorm", "InstanceNorm"]
