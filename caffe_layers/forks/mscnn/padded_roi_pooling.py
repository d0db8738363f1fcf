"""ROIPooling with a margin, of MS-CNN."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from typing_extensions import Unpack

from caffe_layers.base.message import fork_field
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.forks.rcnn.pooled_regions import PooledFields
from caffe_layers.forks.rcnn.region_max import RegionMax

from .margin import emit_enlarged, enlarged


class PaddedROIPooling(
    RegionMax, type="ROIPooling", fork="mscnn", param="roi_pooling_param", bottoms=2
):
    """ROIPooling of regions that are `pad_ratio` of their sides larger on every side.

    A side is `x2 - x1 + 1`, before `spatial_scale`.

    Caffe: zhaoweicai/mscnn, src/caffe/layers/roi_pooling_layer.cpp
    """

    family = "pooling"

    def __init__(self, *, pad_ratio: float = 0.0, **settings: Unpack[PooledFields]) -> None:
        super().__init__(**settings)
        self.pad_ratio = float32(pad_ratio)

    @classmethod
    def fits(cls, layer: Any, blobs: Any) -> bool:
        """Tell whether it says how much larger; elsewhere it is Fast R-CNN's."""
        return bool(fork_field(layer.roi_pooling_param, "pad_ratio", 0))

    def forward(self, x: Tensor, rois: Tensor) -> Tensor:
        return super().forward(x, enlarged(rois.detach().flatten(1), self.pad_ratio))

    def onnx(self, op: Op, x: str, rois: str) -> Values:
        if len(op.shape(rois)) > 2:
            rois = op.Flatten(rois, axis=1)
        return self.pool_onnx(op, x, emit_enlarged(op, rois, self.pad_ratio))
