"""Regions of an image, rows of [image, x1, y1, x2, y2], and the bins that they are cut into."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from caffe_layers.arithmetic.indices import check_indices
from caffe_layers.base.checks import legacy_shape
from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


def check_regions(rois: Shape) -> int:
    """Return the number of regions; raise ShapeError unless each is a row of 5 numbers."""
    rows, *rest = legacy_shape(rois, "the regions' bottom")
    if rest != [5, 1, 1]:
        raise ShapeError(f"the regions are {rois}, wants R x 5: image, x1, y1, x2, y2")
    return rows


def images_of(rois: Tensor, count: int) -> Tensor:
    """Return the image that each region is of; raise ShapeError for one that is not there."""
    images = rois[:, 0].long()
    check_indices(images, count, "images of the regions")
    return images


def rounded(x: Tensor) -> Tensor:
    """Return the nearest whole numbers; halves go away from 0, as C's `round` has it."""
    whole = x.trunc()
    return whole + x.sign() * ((x - whole).abs() >= 0.5)


def emit_rounded(op: Op, x: str) -> str:
    """Append what `rounded` does."""
    # Floor(|x| + 0.5) would be off for the float just below 0.5.
    size = op.Abs(x)
    whole = op.Floor(size)
    rest = op.Sub(size, whole)
    up = op.to_float(op.GreaterOrEqual(rest, op.scalar(0.5)))
    nearest = op.Add(whole, up)
    return op.Mul(nearest, op.Sign(x))


def clipped(edges: Tensor, size: int) -> Tensor:
    """Return bins' edges inside a map of `size` rows, as whole numbers."""
    return edges.clamp(0, size).long()


def column(op: Op, rois: str, at: int) -> str:
    """Append the choice of one number of each region, as R x 1."""
    return op.Slice(rois, op.ints(at), op.ints(at + 1), op.ints(1))


def emit_one_more(op: Op, rois: str, numbers: int = 5) -> str:
    """Append a region of so many numbers behind the others, so that there is one.

    ONNX Runtime goes over no rows in no Scan, and an Einsum without rows ends the process.
    """
    return op.Concat(rois, op.array("no_region", np.zeros((1, numbers))), axis=0)


def emit_one_less(op: Op, top: str) -> str:
    """Append the layer's top: all rows but that of `emit_one_more`'s region."""
    return op.Slice(top, op.ints(0), op.ints(-1), op.ints(0))
