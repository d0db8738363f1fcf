"""Losses and measures."""

from .accuracy import Accuracy
from .contrastive_loss import ContrastiveLoss
from .euclidean_loss import EuclideanLoss
from .hinge_loss import HingeLoss
from .infogain_loss import InfogainLoss
from .multinomial_logistic_loss import MultinomialLogisticLoss
from .pyloss import PyEuclideanLoss
from .sigmoid_cross_entropy_loss import SigmoidCrossEntropyLoss
from .smoothed_softmax_loss import (
    FaceSoftmaxWithLoss,
    IntelSoftmaxWithLoss,
    NvidiaSoftmaxWithLoss,
)
from .softmax_loss import SoftmaxWithLoss

__all__ = [
    "Accuracy",
    "ContrastiveLoss",
    "EuclideanLoss",
    "FaceSoftmaxWithLoss",
    "HingeLoss",
    "InfogainLoss",
    "IntelSoftmaxWithLoss",
    "MultinomialLogisticLoss",
    "NvidiaSoftmaxWithLoss",
    "PyEuclideanLoss",
    "SigmoidCrossEntropyLoss",
    "SoftmaxWithLoss",
]
