"""Preprocessing: what happens to an image before a network sees it, in torch and in ONNX."""

from __future__ import annotations

from typing import Any

from ..module import CaffeNet
from .embed import embed, embedded_sizes
from .known import FAMILIES, image_input, preprocessing_for, preprocessing_of
from .transform import Transform
from .value import Preprocessing


def preprocess(net: CaffeNet, **settings: Any) -> Transform:
    """Return the torch transform from RGB images to a network's input, on its device.

    `settings` are those of `preprocessing_of`: family, channels, mean, scale, resize, crop.
    """
    return Transform(preprocessing_of(net, **settings), net.dtype).to(net.device)


__all__ = [
    "FAMILIES",
    "Preprocessing",
    "Transform",
    "embed",
    "embedded_sizes",
    "image_input",
    "preprocess",
    "preprocessing_for",
    "preprocessing_of",
]
