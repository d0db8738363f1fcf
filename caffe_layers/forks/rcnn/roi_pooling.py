"""ROIPooling, the pooling of Fast R-CNN."""

from __future__ import annotations

from .region_max import RegionMax


class ROIPooling(RegionMax, type="ROIPooling", fork="rcnn", bottoms=2):
    """`top[r, c, i, j]` = the largest value of `x[n, c]` in bin (i, j) of region r.

    x is N x C x H x W, the regions are R x 5: [n, x1, y1, x2, y2]. A region goes from
    `s = round(y1 * spatial_scale)` to `round(y2 * spatial_scale)`, both included, halves rounded
    away from 0, and has one row at least; bin i of its `size` rows goes from
    `s + floor(i * (size / pooled_h))` to `s + ceil((i + 1) * (size / pooled_h))`, the latter not
    included; columns alike. What lies outside x is left out, and an empty bin gives 0. Of equal
    values the first has the gradient; the regions have none.

    Errors: ShapeError for a pooled size of 0, x without 4 axes, and a region of no image.
    Caffe: rbgirshick/caffe-fast-rcnn, src/caffe/layers/roi_pooling_layer.cpp
    """
