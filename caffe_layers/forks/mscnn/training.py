"""Layers of MS-CNN and Cascade R-CNN that only measure or draw: their shapes alone."""

from __future__ import annotations

from typing import Any, ClassVar

from caffe_layers.base.message import fork_field
from caffe_layers.base.shape import Shape
from caffe_layers.base.shapes_only import ShapesOnly
from caffe_layers.forks.rcnn.region import check_regions

RANDOM = "draws examples at random by rules that are not computed here"
FIX = "--deploy leaves it out"


class _Accuracy(ShapesOnly):
    """Base of the measures: a share of hits, and the mean overlap of boxes."""

    is_metric = True
    found: ClassVar[tuple[Shape, ...]] = ((1, 1, 1, 2), (1, 1, 1, 1))
    reason = "measures training and is not computed here"
    fix = FIX

    def __init__(self, tops: int) -> None:
        super().__init__()
        self.count = tops

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> _Accuracy:
        return cls(len(layer.top))

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        return list(self.found[: self.count])


class DetectionAccuracy(_Accuracy, type="DetectionAccuracy", fork="mscnn", bottoms=2, tops=(1, 2)):
    """Hits among objects and among background, 1 x 1 x 1 x 2, and the overlap, 1 x 1 x 1 x 1.

    Caffe: zhaoweicai/mscnn, src/caffe/layers/detection_accuracy_layer.cpp
    """


class DetectionGroupAccuracy(
    _Accuracy, type="DetectionGroupAccuracy", fork="cascade_rcnn", bottoms=3, tops=(1, 2)
):
    """As DetectionAccuracy's tops, for a group of fields.

    Caffe: zhaoweicai/cascade-rcnn, src/caffe/layers/detection_group_accuracy_layer.cpp
    """


class BboxAccuracy(_Accuracy, type="BboxAccuracy", fork="cascade_rcnn", bottoms=3, tops=(1, 2)):
    """The overlap of predicted boxes, and that of the regions they came from: 1 x 1 x 1 x 1 each.

    Caffe: zhaoweicai/cascade-rcnn, src/caffe/layers/bbox_accuracy_layer.cpp
    """

    found = ((1, 1, 1, 1), (1, 1, 1, 1))


class ProposalTarget(
    ShapesOnly,
    type="ProposalTarget",
    fork="cascade_rcnn",
    param="proposal_target_param",
    bottoms=(2, 3),
    tops=(6, 7),
):
    """Regions for training with labels, targets and weights: B of each, with B = `batch_size`.

    A `batch_size` of -1 takes all regions. Shifts are 8 values, or with `cls_aware` 4 a class.

    Caffe: zhaoweicai/cascade-rcnn, src/caffe/layers/proposal_target_layer.cpp
    """

    fixed_bottoms = (0, 1, 2)
    reason = RANDOM
    fix = FIX

    def __init__(
        self, *, cls_num: int = 0, batch_size: int = 128, cls_aware: bool = True, tops: int = 6
    ) -> None:
        super().__init__()
        self.batch_size, self.count = batch_size, tops
        self.values = 4 * cls_num if cls_aware else 8

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> ProposalTarget:
        aware = fork_field(layer.bbox_reg_param, "cls_aware", True)
        return cls(**cls.fields(layer), cls_aware=aware, tops=len(layer.top))

    def shapes(self, rois: Shape, *others: Shape) -> list[Shape]:
        rows = check_regions(rois) if self.batch_size == -1 else self.batch_size
        targets = (rows, self.values, 1, 1)
        labels = (rows, 1, 1, 1)
        tops: list[Shape] = [(rows, 5, 1, 1), labels, *[targets] * 3, (rows, 6, 1, 1), labels]
        return tops[: self.count]
