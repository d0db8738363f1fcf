"""Whole networks: from Caffe's files to PyTorch and ONNX, and the proof that they agree."""

from prototxt.errors import CaffeError, FormatError, ShapeError, UnsupportedError, WeightError

from .backward import Diffs, backward
from .export import check_onnx, export_onnx
from .load import load
from .module import CaffeNet
from .version import VERSION

__version__ = VERSION

__all__ = [
    "CaffeError",
    "CaffeNet",
    "Diffs",
    "FormatError",
    "ShapeError",
    "UnsupportedError",
    "WeightError",
    "backward",
    "check_onnx",
    "export_onnx",
    "load",
]
