"""Metric learning: NormFace's losses, centre loss, triplets, focal loss and HashNet's."""

from .center_loss import CenterLoss, FaceCenterLoss
from .focal_loss import FaceFocalLoss, FocalLoss, SsdFocalLoss
from .general_contrastive_loss import GeneralContrastiveLoss
from .general_triplet_loss import GeneralTripletLoss
from .inner_distance import InnerDistance
from .pairwise_loss import PairwiseLoss
from .scale_tanh import ScaleTanH
from .triplet_loss import TripletLoss

__all__ = [
    "CenterLoss",
    "FaceCenterLoss",
    "FaceFocalLoss",
    "FocalLoss",
    "GeneralContrastiveLoss",
    "GeneralTripletLoss",
    "InnerDistance",
    "PairwiseLoss",
    "ScaleTanH",
    "SsdFocalLoss",
    "TripletLoss",
]
