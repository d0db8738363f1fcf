"""Python layers that published definitions name, by `module.layer`; none of their code runs.

py-faster-rcnn's are in `rcnn`, BVLC's example in `loss`, ENet's in `segmentation`.
"""

from . import losses
from .cluster_detections import ClusterDetections
from .combine_regressions import FaceRegressions, HumanRegressions
from .curve_text import CurveTargets
from .detectnet import ClusterGroundtruth, ScoreDetections
from .init_landmark import InitLandmark
from .mnc import CFMDataLayer, MaskLayer, MNCDataLayer
from .pygeometry import SE3Generator
from .python_layers import MeanVals, Meshgrid
from .rrpn import TurnedAnchorTarget, TurnedProposal, TurnedProposalTarget, TurnedRoIData
from .salicon import CustomInterpolation, ShapedData
from .sec import SecAnnotation, SecCrf, SecSoftmax
from .seg_data import NYUDSegData, PascalSegData, SiftFlowSegData
from .stage_bridge import StageBridgeLayer
from .text_proposals import TextProposals
from .tripletloss import Norm2Layer, TripletData, TripletSelectLayer

__all__ = [
    "CFMDataLayer",
    "ClusterDetections",
    "ClusterGroundtruth",
    "CurveTargets",
    "CustomInterpolation",
    "FaceRegressions",
    "HumanRegressions",
    "InitLandmark",
    "MNCDataLayer",
    "MaskLayer",
    "MeanVals",
    "Meshgrid",
    "NYUDSegData",
    "Norm2Layer",
    "PascalSegData",
    "SE3Generator",
    "ScoreDetections",
    "SecAnnotation",
    "SecCrf",
    "SecSoftmax",
    "ShapedData",
    "SiftFlowSegData",
    "StageBridgeLayer",
    "TextProposals",
    "TripletData",
    "TripletSelectLayer",
    "TurnedAnchorTarget",
    "TurnedProposal",
    "TurnedProposalTarget",
    "TurnedRoIData",
    "losses",
]
