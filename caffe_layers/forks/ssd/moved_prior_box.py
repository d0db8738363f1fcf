"""PriorBox at several places within a cell, of tl_ssd."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from typing_extensions import Unpack

from caffe_layers.base.checks import require
from caffe_layers.base.message import is_set
from caffe_layers.base.number import float32
from caffe_layers.base.shape import Shape

from .placed_boxes import SAME_RATIO, PlacedBoxes, PlaceFields, ratios_of


class MovedPriorBox(
    PlacedBoxes, type="PriorBox", fork="tl_ssd", param="prior_box_param", bottoms=2
):
    """SSD's PriorBox without squares, around every `offset_w` and `offset_h` of each cell.

    Boxes go by row, column, `offset_w`, `offset_h`, `min_size` and aspect ratio; `max_size` says
    nothing.

    Errors: SSD's; ShapeError without offsets or aspect ratios, for offsets that are not within 0
    and 1, and for an aspect ratio of 1, whose box the fork counts and leaves unset.
    Caffe: julimueller/tl_ssd at be5ae7f, src/caffe/layers/prior_box_layer.cpp
    """

    def __init__(
        self,
        *,
        min_size: Sequence[float],
        max_size: Sequence[float] = (),
        aspect_ratio: Sequence[float] = (),
        flip: bool = True,
        offset_w: Sequence[float] = (),
        offset_h: Sequence[float] = (),
        **fields: Unpack[PlaceFields],
    ) -> None:
        few = len(max_size) in (0, len(min_size))
        require(few, f"{len(max_size)} max_size for {len(min_size)} min_size, wants as many")
        super().__init__(min_size=min_size, aspect_ratio=aspect_ratio, flip=flip, **fields)
        for name, offsets in (("offset_w", offset_w), ("offset_h", offset_h)):
            right = offsets and min(offsets) >= 0 and max(offsets) <= 1
            require(bool(right), f"{name} {tuple(offsets)} wants numbers from 0 to 1")
        ones = any(abs(float32(ratio) - 1) < SAME_RATIO for ratio in aspect_ratio)
        require(not ones, "an aspect_ratio of 1, whose box the fork leaves unset")
        ratios = len(ratios_of(aspect_ratio, flip=flip)) - 1
        require(ratios > 0, "there is no aspect_ratio, and no box without")
        shaped = [size for at, size in enumerate(self.sizes) if at % (ratios + 1)]
        places = [(x, y) for x in map(float32, offset_w) for y in map(float32, offset_h)]
        self.sizes = shaped * len(places)
        self.moved = [place for place in places for _ in shaped]

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return is_set(layer.prior_box_param, "offset_w") or is_set(
            layer.prior_box_param, "offset_h"
        )

    def offsets(self, axis: int) -> Sequence[float]:
        return [(y, x)[axis] for x, y in self.moved]
