"""PriorBox, from SSD."""

from __future__ import annotations

from typing import ClassVar

from typing_extensions import Unpack

from .placed_boxes import BoxFields, PlacedBoxes


class PriorBox(PlacedBoxes, type="PriorBox", fork="ssd", param="prior_box_param", bottoms=2):
    """Boxes of several sizes and shapes around every place of a feature map: 1 x 2 x 4P.

    Bottoms: the feature map, N x C x H x W, and the image, of which only the sizes count. Channel 0
    of the top holds xmin, ymin, xmax, ymax of each box, in fractions of the image's width and
    height; channel 1 their variances. Boxes go by row, column, `min_size`; for each of these a
    square of that side, with `max_size` one of side `sqrt(min * max)`, then for each aspect ratio
    r, and with `flip` for 1/r, a box of `min sqrt(r)` by `min / sqrt(r)`. Sizes are cut to whole
    pixels. Places are `step` apart, by default the image's size by the map's; the first is at
    `offset * step`. `clip` cuts boxes to the image. With chuanqi305's `reduce_boxes` the first
    square of each `min_size` has half the side, which need not be whole.

    Errors: ShapeError for sizes, steps and variances that do not fit.
    Caffe: weiliu89/caffe, and for `reduce_boxes` chuanqi305/ssd at 1702ede3,
    src/caffe/layers/prior_box_layer.cpp
    """

    fork_fields: ClassVar[tuple[str, ...]] = ("prior_box_param.reduce_boxes",)

    def __init__(self, *, reduce_boxes: bool = False, **fields: Unpack[BoxFields]) -> None:
        super().__init__(**fields)
        if reduce_boxes:
            each = len(self.sizes) // len(fields["min_size"])
            self.sizes = [
                (width / 2, height / 2) if at % each == 0 else (width, height)
                for at, (width, height) in enumerate(self.sizes)
            ]
