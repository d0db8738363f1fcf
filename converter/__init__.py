"""Whole networks: from Caffe's files to PyTorch and ONNX, and the proof that they agree."""

from prototxt.errors import (
    CaffeError,
    FormatError,
    ShapeError,
    UnsupportedError,
    UsageError,
    WeightError,
)

from . import sknet, training
from .conversion import convert
from .loading.load import load
from .loading.save import save_caffemodel
from .network.backward import Diffs, backward
from .network.net import CaffeNet
from .network.summary import format_summary, summarize
from .onnx.export import check_onnx, export_onnx
from .preprocessing import Preprocessing, preprocess
from .verification.report import Report
from .verification.verify import verify
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
    "UsageError",
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
