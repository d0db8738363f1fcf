"""Preprocessing: what happens to an image before a network sees it."""

from .families import FAMILIES, image_input, preprocessing_for, preprocessing_of
from .settings import ImageSettings
from .spec import Preprocessing
from .transform import Transform, preprocess

__all__ = [
    "FAMILIES",
    "ImageSettings",
    "Preprocessing",
    "Transform",
    "image_input",
    "preprocess",
    "preprocessing_for",
    "preprocessing_of",
]
