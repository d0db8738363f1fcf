"""Values between samples by B-splines, as scipy.ndimage computes them.

SciPy: scipy/ndimage/src/ni_splines.c, ni_interpolation.c
"""

from __future__ import annotations

import numpy as np

HIGHEST = 5


def spline(image: np.ndarray, places: np.ndarray, axis: int, order: int) -> np.ndarray:
    """Return the values at some places along an axis; 0 before the first and after the last sample.

    `order` is the polynomials' degree, 0 to 5: 0 is the nearest sample, 1 linear. From 2 on the
    curve runs through all samples, which are mirrored at the first and the last one. Raises
    ValueError for another order.
    """
    if order not in range(HIGHEST + 1):
        raise ValueError(f"interp_order {order!r}, wants 0 to {HIGHEST}")
    size = image.shape[axis]
    inside = (places >= 0) & (places <= size - 1)
    matrix = _weights(places, size, order) * inside[:, np.newaxis]
    if order > 1 and size > 1:
        matrix = np.linalg.solve(_weights(np.arange(size), size, order).T, matrix.T).T
    moved = np.tensordot(matrix, image, (1, axis))
    return np.asarray(np.moveaxis(moved, 0, axis))


def _weights(places: np.ndarray, size: int, order: int) -> np.ndarray:
    """Return the shares of each coefficient, places x coefficients."""
    first = np.floor(places - (order - 1) / 2).astype(int)
    matrix = np.zeros((len(places), size))
    rows = np.arange(len(places))
    for step in range(order + 1):
        index = first + step
        np.add.at(matrix, (rows, _mirrored(index, size)), _basis(places - index, order))
    return matrix


def _basis(distance: np.ndarray, order: int) -> np.ndarray:
    """Return the centred B-spline of a degree: the box, smoothed by itself `order` times."""
    if order == 0:
        return np.asarray((distance >= -0.5) & (distance < 0.5), float)
    half = (order + 1) / 2
    left, right = _basis(distance + 0.5, order - 1), _basis(distance - 0.5, order - 1)
    return np.asarray(((half + distance) * left + (half - distance) * right) / order)


def _mirrored(index: np.ndarray, size: int) -> np.ndarray:
    """Return the samples that stand for those beyond the ends, which are not doubled."""
    if size == 1:
        return np.zeros_like(index)
    folded = np.abs(index) % (2 * size - 2)
    return np.asarray(np.where(folded < size, folded, 2 * size - 2 - folded))
