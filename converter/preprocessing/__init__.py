"""Preprocessing: what happens to an image before a network sees it, in torch and in ONNX."""

from __future__ import annotations

from typing import Any

from converter.network.net import CaffeNet

from .families import FAMILIES, image_input, preprocessing_for, preprocessing_of
from .spec import Preprocessing
from .transform import Transform


def preprocess(net: CaffeNet, **settings: Any) -> Transform:
    """Return the torch transform from RGB images to a network's input, on its device.

    `settings` are those of `preprocessing_of`: family, channels, mean, scale, resize, crop.
    """
    return Transform(preprocessing_of(net, **settings), net.dtype).to(net.device)


__all__ = [
    "FAMILIES",
    "Preprocessing",
    "Transform",
    "image_input",
    "preprocess",
    "preprocessing_for",
    "preprocessing_of",
]
