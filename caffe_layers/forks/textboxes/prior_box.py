"""PriorBox with twice the boxes, of TextBoxes++."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from caffe_layers.base.message import fork_field
from caffe_layers.base.shape import Shape
from caffe_layers.forks.ssd.placed_boxes import PlacedBoxes


class DenserPriorBox(
    PlacedBoxes, type="PriorBox", fork="textboxes_plusplus", param="prior_box_param", bottoms=2
):
    """SSD's PriorBox with each box twice: behind it the same box at the lower edge of its place.

    The second one's centre is `(row + 1) * step` down, whatever `offset` says.

    Caffe: MhLiao/TextBoxes_plusplus, src/caffe/layers/prior_box_layer.cpp
    """

    fork_fields: ClassVar[tuple[str, ...]] = ("prior_box_param.denser_prior_boxes",)

    def __init__(self, **fields: Any) -> None:
        """`fields` are `PriorBox`'s."""
        super().__init__(**fields)
        self.sizes = [size for size in self.sizes for _ in range(2)]

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return bool(fork_field(layer.prior_box_param, "denser_prior_boxes"))

    def offsets(self, axis: int) -> Sequence[float]:
        return super().offsets(axis) if axis else [self.offset, 1.0] * (len(self.sizes) // 2)
