"""Layers of yjxiong's Caffe (temporal segment networks): recognising actions in video."""

from .batch_reduction import BatchReduction
from .eltwise import StochasticSum
from .gather import Gather, Scatter
from .guided_dropout import GuidedDropout
from .normalize import SampleNormalize
from .reduction import TopKReduction
from .video_data import SegmentedVideoData

__all__ = [
    "BatchReduction",
    "Gather",
    "GuidedDropout",
    "SampleNormalize",
    "Scatter",
    "SegmentedVideoData",
    "StochasticSum",
    "TopKReduction",
]
