"""Layers of capsule networks: chenzhenhua986/CAFFE-CapsNet."""

from .capsule_conv_transform import CapsuleConvRouting, CapsuleConvTransform
from .capsule_len import CapsuleLen
from .capsule_mask import CapsuleMask, CapsuleRelu
from .capsule_reshape import CapsuleReshape
from .capsule_transform import CapsuleRouting, CapsuleTransform
from .margin_loss import MarginLoss
from .refused import Cap, DynamicRouting
from .squash import Squash
from .tensor import TensorCapsules

__all__ = [
    "Cap",
    "CapsuleConvRouting",
    "CapsuleConvTransform",
    "CapsuleLen",
    "CapsuleMask",
    "CapsuleRelu",
    "CapsuleReshape",
    "CapsuleRouting",
    "CapsuleTransform",
    "DynamicRouting",
    "MarginLoss",
    "Squash",
    "TensorCapsules",
]
