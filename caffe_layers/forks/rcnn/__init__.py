"""Detection by regions: Fast and Faster R-CNN, and R-FCN."""

from .anchor_target_layer import AnchorTargetLayer
from .box_annotator_ohem import BoxAnnotatorOHEM
from .proposal import MultipleProposal, Proposal
from .proposal_layer import ProposalLayer
from .proposal_target_layer import ProposalTargetLayer
from .psroi_pooling import PSROIPooling
from .roi_data_layer import RoIDataLayer
from .roi_pooling import ROIPooling
from .smooth_l1_loss import RCNNSmoothL1Loss
from .smooth_l1_loss_ohem import RFCNSmoothL1Loss, SmoothL1LossOHEM
from .softmax_loss_ohem import RFCNSoftmaxWithLoss, SoftmaxWithLossOHEM

__all__ = [
    "AnchorTargetLayer",
    "BoxAnnotatorOHEM",
    "MultipleProposal",
    "PSROIPooling",
    "Proposal",
    "ProposalLayer",
    "ProposalTargetLayer",
    "RCNNSmoothL1Loss",
    "RFCNSmoothL1Loss",
    "RFCNSoftmaxWithLoss",
    "ROIPooling",
    "RoIDataLayer",
    "SmoothL1LossOHEM",
    "SoftmaxWithLossOHEM",
]
