"""Photos as arrays: read, resized, cropped.

Caffe: python/caffe/io.py
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .resize import resize, zoomed

GREY = (0.2125, 0.7154, 0.0721)
"""The shares of red, green and blue in a photo's intensity."""
CROPS = 10


def load_image(filename: Any, color: bool = True) -> np.ndarray:
    """Return a photo, from a file's name or an open file, as float32 in [0, 1].

    It is H x W x 3, RGB; without `color` H x W x 1.
    """
    pixels = _read(filename)
    if pixels.ndim == 2:
        image = pixels[:, :, np.newaxis]
        return np.tile(image, (1, 1, 3)) if color else image
    image = pixels[:, :, :3]
    if color:
        return image
    return np.asarray(image @ np.array(GREY), np.float32)[:, :, np.newaxis]


def _read(file: Any) -> np.ndarray:
    """Return an image's values of all its channels, in [0, 1]."""
    try:
        from PIL import Image
    except ImportError:
        raise RuntimeError(
            "caffe.io.load_image reads photos with Pillow: pip install Pillow"
        ) from None
    with Image.open(file) as opened:
        mode = opened.mode
        if mode in ("P", "CMYK", "YCbCr", "LAB", "HSV"):
            alpha = mode == "P" and "transparency" in opened.info
            values = np.asarray(opened.convert("RGBA" if alpha else "RGB"))
        else:
            values = np.asarray(opened.convert("L") if mode in ("LA", "1") else opened)
    if values.dtype == np.float32:
        return values
    most = 65535 if values.dtype.itemsize > 1 else 255
    return np.asarray(values / most, np.float32)


def resize_image(im: np.ndarray, new_dims: Any, interp_order: int = 1) -> np.ndarray:
    """Return an image H x W x K in another size, as pycaffe did with scikit-image 0.13."""
    if im.shape[-1] not in (1, 3):
        return zoomed(im, new_dims, interp_order).astype(np.float32)
    low, high = im.min(), im.max()
    if high <= low:
        return np.full((*map(int, new_dims), im.shape[-1]), low, np.float32)
    resized = resize((im - low) / (high - low), new_dims, interp_order)
    return np.asarray(resized * (high - low) + low, np.float32)


def oversample(images: Any, crop_dims: Any) -> np.ndarray:
    """Return ten crops of each image: four corners, the middle, and these mirrored."""
    height, width, channels = images[0].shape
    high, wide = (int(size) for size in crop_dims)
    corners = [(y, x) for y in (0, height - high) for x in (0, width - wide)]
    corners.append((int(height / 2.0 - high / 2.0), int(width / 2.0 - wide / 2.0)))
    crops = np.empty((CROPS * len(images), high, wide, channels), np.float32)
    for at, image in enumerate(images):
        straight = crops[at * CROPS : at * CROPS + len(corners)]
        for crop, (y, x) in zip(straight, corners, strict=True):
            crop[...] = image[y : y + high, x : x + wide]
        crops[at * CROPS + len(corners) : (at + 1) * CROPS] = straight[:, :, ::-1]
    return crops
