"""PriorBox with boxes of a fixed size, several a place, of a FaceBoxes in Caffe."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import Any, ClassVar

import torch
from torch import Tensor
from typing_extensions import Unpack

from caffe_layers.base.checks import require
from caffe_layers.base.message import is_set
from caffe_layers.base.number import FLT_MAX, float32
from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

from .placed_boxes import SAME_RATIO, Moves, PlacedBoxes, PlaceFields, ratios_of

LEAST = (0.0, 0.0, -FLT_MAX, -FLT_MAX)
MOST = (FLT_MAX, FLT_MAX, 1.0, 1.0)
"""Of xmin, ymin, xmax, ymax."""


class DensityPriorBox(
    PlacedBoxes, type="PriorBox", fork="faceboxes", param="prior_box_param", bottoms=2
):
    """SSD's PriorBox with `fixed_size` in the place of `min_size`, and a `density` for each.

    A box of side s and density d is there d x d times, row by row: the centres are `s / d` pixels
    apart, cut to whole pixels, and the first is half of that behind the edge of the box of side s
    around the place. Then come those of the aspect ratios, each d x d times too; `fixed_ratio` of
    one number r makes boxes of `s sqrt(r)` by `s / sqrt(r)` alone. Boxes end at the image: no xmin
    and ymin is below 0, no xmax and ymax above 1.

    Errors: ShapeError for another number of densities, for one that is no whole number, for
    `min_size` beside `fixed_size`, `aspect_ratio` beside `fixed_ratio`, and several of the latter:
    the fork counts other boxes then than it writes.
    Caffe: lippman1125/faceboxes_lqy, src/caffe/layers/prior_box_layer.cpp
    """

    fork_fields: ClassVar[tuple[str, ...]] = tuple(
        f"prior_box_param.{name}" for name in ("fixed_size", "fixed_ratio", "density")
    )

    def __init__(
        self,
        *,
        fixed_size: Sequence[float],
        density: Sequence[float],
        fixed_ratio: Sequence[float] = (),
        aspect_ratio: Sequence[float] = (),
        min_size: Sequence[float] = (),
        max_size: Sequence[float] = (),
        flip: bool = True,
        **fields: Unpack[PlaceFields],
    ) -> None:
        """Take `PriorBox`'s fields too."""
        require(len(fixed_size) > 0, "there is no fixed_size, wants at least one")
        require(not min_size and not max_size, "min_size or max_size stands beside fixed_size")
        require(min(fixed_size) >= 1, f"fixed_size {tuple(fixed_size)} wants sizes of 1 or more")
        if len(density) != len(fixed_size):
            raise ShapeError(
                f"{len(density)} density for {len(fixed_size)} fixed_size, wants as many"
            )
        for each in density:
            require(
                each >= 1 and each == int(each), f"density {each:g} wants whole numbers above 0"
            )
        require(len(fixed_ratio) <= 1, f"{len(fixed_ratio)} fixed_ratio, wants one at most")
        require(not (fixed_ratio and aspect_ratio), "aspect_ratio stands beside fixed_ratio")
        super().__init__(min_size=fixed_size, flip=flip, **fields)
        ratios = ratios_of(aspect_ratio, flip=flip)
        own = [ratio for ratio in ratios if abs(ratio - 1) >= SAME_RATIO]
        if fixed_ratio:
            require(fixed_ratio[0] > 0, f"fixed_ratio {fixed_ratio[0]:g} wants numbers above 0")
        self.sizes, self._back, self._down, self._right = [], [], [], []
        for size, count in zip(map(float32, fixed_size), map(int, density), strict=True):
            whole = int(size)
            shapes = [] if fixed_ratio else [(float(whole), float(whole))]
            for ratio in map(float32, fixed_ratio or own):
                root = sqrt(ratio)
                shapes.append((float32(size * root), float32(size / root)))
            between = int(float32(size / count))
            on = [between / 2 + at * between for at in range(count)]
            for shape in shapes:
                self.sizes += [shape] * count**2
                self._back += [float(whole // 2)] * count**2
                self._down += [down for down in on for _ in on]
                self._right += on * count

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return is_set(layer.prior_box_param, "fixed_size")

    def moves(self, axis: int) -> Moves:
        return self._back, self._right if axis else self._down

    def bounded(self, boxes: Tensor) -> Tensor:
        least, most = (boxes.new_tensor(limits) for limits in (LEAST, MOST))
        return super().bounded(torch.minimum(torch.maximum(boxes, least), most))

    def emit_bounded(self, op: Op, boxes: str) -> str:
        return super().emit_bounded(op, op.Min(op.Max(boxes, op.floats(LEAST)), op.floats(MOST)))
