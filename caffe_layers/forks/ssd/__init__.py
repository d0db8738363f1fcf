"""The layers of SSD, of what chuanqi305 and tl_ssd added to it, and of RefineDet."""

from .annotated_data import AnnotatedData, VideoData
from .density_prior_box import DensityPriorBox
from .detection_evaluate import DetectionEvaluate
from .detection_output import DetectionOutput, RefinedDetectionOutput
from .moved_prior_box import MovedPriorBox
from .multibox_loss import MultiBoxFocalLoss, MultiBoxLoss, RefinedMultiBoxLoss
from .normalize import Normalize
from .permute import Permute
from .prior_box import PriorBox
from .relu6 import ReLU6
from .smooth_l1_loss import SmoothL1Loss
from .state_detection_output import StateDetectionOutput

__all__ = [
    "AnnotatedData",
    "DensityPriorBox",
    "DetectionEvaluate",
    "DetectionOutput",
    "MovedPriorBox",
    "MultiBoxFocalLoss",
    "MultiBoxLoss",
    "Normalize",
    "Permute",
    "PriorBox",
    "ReLU6",
    "RefinedDetectionOutput",
    "RefinedMultiBoxLoss",
    "SmoothL1Loss",
    "StateDetectionOutput",
    "VideoData",
]
