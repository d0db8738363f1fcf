"""Resizing as scikit-image 0.13 and SciPy did it for pycaffe.

Caffe: python/caffe/io.py; scikit-image, skimage/transform/_warps.py; SciPy,
scipy/ndimage/src/ni_interpolation.c
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .splines import spline

LINEAR, CUBIC = 1, 3


def resize(image: np.ndarray, new_dims: Sequence[int], order: int = LINEAR) -> np.ndarray:
    """Return an image H x W x K in another size, without a filter against aliasing.

    Between pixels, whose centres lie at halves, it is linear (`order` 0: the nearest one; 3: the
    cubic through four that has its neighbours' slopes; 2, 4 and 5: a spline), and beyond the
    image's edge everything is 0, so that borders are darker where it grows. Values are clipped to
    the image's own. Raises ValueError for other orders.
    """
    image = np.asarray(image, float)
    result = image
    for axis in (0, 1):
        size, new = image.shape[axis], int(new_dims[axis])
        places = size / new * (np.arange(new) + 0.5) - 0.5
        result = _sampled(result, places, axis, order)
    clipped: np.ndarray = np.clip(result, image.min(), image.max())
    return clipped


def zoomed(image: np.ndarray, new_dims: Sequence[int], order: int = LINEAR) -> np.ndarray:
    """Return an image in another size whose corners are those of the old one, linear between.

    With an `order` from 2 to 5 a spline is between, with 0 the nearest value.
    """
    result = np.asarray(image, float)
    for axis in (0, 1):
        size, new = result.shape[axis], int(new_dims[axis])
        places = np.linspace(0, size - 1, new)
        result = spline(result, places, axis, order)
    return result


def _sampled(image: np.ndarray, places: np.ndarray, axis: int, order: int) -> np.ndarray:
    """Return the values at some places along an axis; 0 outside."""
    if order == 0:
        return _at(image, np.floor(places + 0.5).astype(int), axis)
    if order not in (LINEAR, CUBIC):
        return spline(image, places, axis, order)
    low = np.floor(places).astype(int)
    share = (places - low).reshape(_along(image, axis))
    around = [
        _at(image, low + step, axis) for step in ((0, 1) if order == LINEAR else range(-1, 3))
    ]
    if order == LINEAR:
        below, above = around
        return np.asarray((1 - share) * below + share * above)
    first, below, above, last = around
    cubed = 3 * (below - above) + last - first
    squared = 2 * first - 5 * below + 4 * above - last
    return np.asarray(below + 0.5 * share * (above - first + share * (squared + share * cubed)))


def _at(image: np.ndarray, index: np.ndarray, axis: int) -> np.ndarray:
    inside = (index >= 0) & (index < image.shape[axis])
    taken = np.take(image, index.clip(0, image.shape[axis] - 1), axis)
    return np.where(inside.reshape(_along(image, axis)), taken, 0)


def _along(image: np.ndarray, axis: int) -> list[int]:
    return [-1 if one == axis else 1 for one in range(image.ndim)]
