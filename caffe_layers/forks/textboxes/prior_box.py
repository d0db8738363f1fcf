"""PriorBox with twice the boxes, of TextBoxes++ and of TextBoxes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from typing_extensions import Unpack

from caffe_layers.base.message import fork_field
from caffe_layers.base.shape import Shape
from caffe_layers.forks.ssd.placed_boxes import BoxFields, PlacedBoxes
from prototxt.schema import dialect_of


class _Twice(PlacedBoxes):
    """Base of the layers that make each box twice, at its place and at that one's lower edge."""

    def __init__(self, **fields: Unpack[BoxFields]) -> None:
        """`fields` are `PriorBox`'s."""
        super().__init__(**fields)
        self.sizes = [size for size in self.sizes for _ in range(2)]

    def offsets(self, axis: int) -> Sequence[float]:
        return super().offsets(axis) if axis else [self.offset, 1.0] * (len(self.sizes) // 2)


class DenserPriorBox(
    _Twice, type="PriorBox", fork="textboxes_plusplus", param="prior_box_param", bottoms=2
):
    """SSD's PriorBox with each box twice: behind it the same box at the lower edge of its place.

    The second one's centre is `(row + 1) * step` down, whatever `offset` says.

    Caffe: MhLiao/TextBoxes_plusplus, src/caffe/layers/prior_box_layer.cpp
    """

    fork_fields: ClassVar[tuple[str, ...]] = ("prior_box_param.denser_prior_boxes",)

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return bool(fork_field(layer.prior_box_param, "denser_prior_boxes"))


class TextBoxesPriorBox(
    _Twice, type="PriorBox", fork="textboxes", param="prior_box_param", bottoms=2
):
    """SSD's PriorBox with each box twice, as `DenserPriorBox`, of sizes that are not cut.

    Nothing in a definition tells it from SSD's: `--dialect textboxes` names it.

    Caffe: MhLiao/TextBoxes at fd4d7a96, src/caffe/layers/prior_box_layer.cpp
    """

    whole_sizes = False

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return dialect_of(layer) == cls.fork
