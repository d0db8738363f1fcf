"""Detection in one pass over a grid: YOLO."""

from .box_data import BoxData
from .eval_detection import EvalDetection
from .lane_data import LaneData
from .region_detection_evaluate import RegionDetectionEvaluate
from .region_loss import RegionLoss
from .reorg import Reorg, SpaceToDepth
from .scaled_upsample import ScaledUpsample
from .segmentation_evaluate import SegmentationEvaluate
from .upsample import YoloUpsample
from .yolo_detection_output import RegionDetectionOutput, YoloDetectionOutput
from .yolo_seg import YoloSeg
from .yolov3 import Yolov3
from .yolov3_detection_output import Yolov3DetectionOutput

__all__ = [
    "BoxData",
    "EvalDetection",
    "LaneData",
    "RegionDetectionEvaluate",
    "RegionDetectionOutput",
    "RegionLoss",
    "Reorg",
    "ScaledUpsample",
    "SegmentationEvaluate",
    "SpaceToDepth",
    "YoloDetectionOutput",
    "YoloSeg",
    "YoloUpsample",
    "Yolov3",
    "Yolov3DetectionOutput",
]
