"""Whole networks: from Caffe's files to PyTorch and ONNX, and the proof that they agree."""

from prototxt.errors import CaffeError, FormatError, ShapeError, UnsupportedError, WeightError

from . import sknet, training
from .backward import Diffs, backward
from .convert import convert
from .export import check_onnx, export_onnx
from .load import load
from .module import CaffeNet
from .preprocessing import Preprocessing, preprocess
from .report import Report
from .save import save_caffemodel
from .summary import format_summary, summarize
from .verify import verify
from .version import VERSION

__version__ = VERSION

__all__ = [
    "CaffeError",
    "CaffeNet",
    "Diffs",
    "FormatError",
    "Preprocessing",
    "Report",
    "ShapeError",
    "UnsupportedError",
    "WeightError",
    "backward",
    "check_onnx",
    "convert",
    "export_onnx",
    "format_summary",
    "load",
    "preprocess",
    "save_caffemodel",
    "sknet",
    "summarize",
    "training",
    "verify",
]
