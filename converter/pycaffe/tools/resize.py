"""Resizing as scikit-image 0.13 and SciPy did it for pycaffe.

Caffe: python/caffe/io.py; scikit-image, skimage/transform/_warps.py
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def resize(image: np.ndarray, new_dims: Sequence[int], order: int = 1) -> np.ndarray:
    """Return an image H x W x K in another size, without a filter against aliasing.

    Between pixels, whose centres lie at halves, it is linear (`order` 0: the nearest one), and
    beyond the image's edge everything is 0, so that borders are darker where it grows.
    """
    image = np.asarray(image, float)
    result = image
    for axis in (0, 1):
        size, new = image.shape[axis], int(new_dims[axis])
        places = size / new * (np.arange(new) + 0.5) - 0.5
        result = _sampled(result, places, axis, order)
    clipped: np.ndarray = np.clip(result, image.min(), image.max())
    return clipped


def zoomed(image: np.ndarray, new_dims: Sequence[int]) -> np.ndarray:
    """Return an image in another size whose corners are those of the old one, linear between."""
    result = np.asarray(image, float)
    for axis in (0, 1):
        size, new = result.shape[axis], int(new_dims[axis])
        result = _sampled(result, np.linspace(0, size - 1, new), axis, 1)
    return result


def _sampled(image: np.ndarray, places: np.ndarray, axis: int, order: int) -> np.ndarray:
    """Return the values at some places along an axis; 0 outside."""
    if order not in (0, 1):
        raise NotImplementedError(f"interp_order {order} is not here: 0 (nearest) or 1 (linear)")
    shape = [1] * image.ndim
    shape[axis] = len(places)
    if order == 0:
        return _at(image, np.floor(places + 0.5).astype(int), axis, shape)
    low = np.floor(places).astype(int)
    share = (places - low).reshape(shape)
    below, above = _at(image, low, axis, shape), _at(image, low + 1, axis, shape)
    between: np.ndarray = (1 - share) * below + share * above
    return between


def _at(image: np.ndarray, index: np.ndarray, axis: int, shape: Sequence[int]) -> np.ndarray:
    inside = (index >= 0) & (index < image.shape[axis])
    taken = np.take(image, index.clip(0, image.shape[axis] - 1), axis)
    return np.where(inside.reshape(shape), taken, 0)
