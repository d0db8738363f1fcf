"""Layers of caffe_rtpose (OpenPose): from heat maps to the joints of people."""

from .imresize import ImResize
from .maximum import Maximum
from .nms import Nms

__all__ = [
    "ImResize",
    "Maximum",
    "Nms",
]
