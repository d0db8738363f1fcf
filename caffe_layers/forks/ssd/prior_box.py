"""PriorBox, from SSD."""

from __future__ import annotations

from typing import Any, ClassVar

from caffe_layers.base.message import fork_field
from prototxt.errors import UnsupportedError

from .placed_boxes import PlacedBoxes


class PriorBox(PlacedBoxes, type="PriorBox", fork="ssd", param="prior_box_param", bottoms=2):
    """Boxes of several sizes and shapes around every place of a feature map: 1 x 2 x 4P.

    Bottoms: the feature map, N x C x H x W, and the image, of which only the sizes count. Channel 0
    of the top holds xmin, ymin, xmax, ymax of each box, in fractions of the image's width and
    height; channel 1 their variances. Boxes go by row, column, `min_size`; for each of these a
    square of that side, with `max_size` one of side `sqrt(min * max)`, then for each aspect ratio
    r, and with `flip` for 1/r, a box of `min sqrt(r)` by `min / sqrt(r)`. Sizes are cut to whole
    pixels. Places are `step` apart, by default the image's size by the map's; the first is at
    `offset * step`. `clip` cuts boxes to the image.

    Errors: ShapeError for sizes, steps and variances that do not fit; UnsupportedError for
    chuanqi305's `reduce_boxes`, whose first layer makes other boxes, which ones is not known.
    Caffe: weiliu89/caffe, src/caffe/layers/prior_box_layer.cpp
    """

    fork_fields: ClassVar[tuple[str, ...]] = ("prior_box_param.reduce_boxes",)

    @classmethod
    def read(cls, layer: Any) -> dict[str, Any]:
        if fork_field(layer.prior_box_param, "reduce_boxes"):
            raise UnsupportedError("reduce_boxes makes other boxes, which ones is not known")
        return super().read(layer)
