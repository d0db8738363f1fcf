"""Layers of MS-CNN and Cascade R-CNN (zhaoweicai/mscnn, zhaoweicai/cascade-rcnn)."""

from .box_group_output import BoxGroupOutput
from .box_output import BoxOutput
from .data import DetectionData, EvalData, ImageGtData
from .decode_bbox import DecodeBBox
from .field_loss import DetectionGroupLoss, DetectionLoss
from .frcnn_output import FrcnnOutput
from .padded_roi_pooling import PaddedROIPooling
from .roi_align import ROIAlign
from .scale_route import ScaleRoute
from .training import (
    BboxAccuracy,
    DetectionAccuracy,
    DetectionGroupAccuracy,
    ProposalTarget,
)

__all__ = [
    "BboxAccuracy",
    "BoxGroupOutput",
    "BoxOutput",
    "DecodeBBox",
    "DetectionAccuracy",
    "DetectionData",
    "DetectionGroupAccuracy",
    "DetectionGroupLoss",
    "DetectionLoss",
    "EvalData",
    "FrcnnOutput",
    "ImageGtData",
    "PaddedROIPooling",
    "ProposalTarget",
    "ROIAlign",
    "ScaleRoute",
]
