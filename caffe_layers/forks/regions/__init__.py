"""Layers about regions of MNC (daijifeng001/caffe-mnc), RRPN, frcnn and happynear's MTCNN."""

from .frcnn import FrcnnAnchorTarget, FrcnnProposal, FrcnnProposalTarget
from .mask_pooling import MaskPooling
from .mask_resize import MaskResize
from .predict_box import PredictBox
from .roi_warping import ROIWarping
from .rotate_roi_pooling import RotateROIPooling

__all__ = [
    "FrcnnAnchorTarget",
    "FrcnnProposal",
    "FrcnnProposalTarget",
    "MaskPooling",
    "MaskResize",
    "PredictBox",
    "ROIWarping",
    "RotateROIPooling",
]
