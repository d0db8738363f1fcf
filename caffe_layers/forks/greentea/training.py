"""Layers of naibaf7's Caffe that only training needs: their shapes alone."""

from __future__ import annotations

from caffe_layers.base.checks import legacy_shape, require
from caffe_layers.base.shape import Shape
from caffe_layers.base.shapes_only import ShapesOnly


class DataRandTransform(ShapesOnly, type="DataRandTransform", fork="greentea"):
    """Images turned, blurred and lightened at random, of the bottom's shape.

    Errors: UnsupportedError on running.
    Caffe: naibaf7/caffe, src/caffe/layers/data_rand_transform_layer.cpp
    """

    reason = "changes images at random, in training alone"
    fix = "--skip leaves it out"

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]


class Affinity(ShapesOnly, type="Affinity", fork="greentea", bottoms=(1, None), tops=(1, None)):
    """Of each map N x C x H x W how alike neighbours are, 1 x 2 x H x W: for the MALIS loss.

    Errors: ShapeError for tops that are more or fewer; UnsupportedError on running.
    Caffe: naibaf7/caffe, src/caffe/layers/affinity_layer.cpp
    """

    is_metric = True
    reason = "prepares the MALIS loss, which is not computed here"
    fix = "--deploy leaves it out"

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        tops: list[Shape] = []
        for bottom in bottoms:
            require(len(bottom) <= 4, f"bottom {bottom} has {len(bottom)} axes, wants 4 at most")
            tops.append((1, 2, *legacy_shape(bottom, "the bottom")[2:]))
        return tops
