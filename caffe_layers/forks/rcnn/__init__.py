"""Detection by regions: Fast and Faster R-CNN, and R-FCN."""

from .box_annotator_ohem import BoxAnnotatorOHEM
from .proposal import Proposal
from .psroi_pooling import PSROIPooling
from .roi_pooling import ROIPooling
from .smooth_l1_loss import RCNNSmoothL1Loss
from .smooth_l1_loss_ohem import RFCNSmoothL1Loss, SmoothL1LossOHEM
from .softmax_loss_ohem import RFCNSoftmaxWithLoss, SoftmaxWithLossOHEM

__all__ = [
    "BoxAnnotatorOHEM",
    "PSROIPooling",
    "Proposal",
    "RCNNSmoothL1Loss",
    "RFCNSmoothL1Loss",
    "RFCNSoftmaxWithLoss",
    "ROIPooling",
    "SmoothL1LossOHEM",
    "SoftmaxWithLossOHEM",
]
