from . import sknet, training
from .conversion import convert
from .errors import (
    CaffeError,
    FormatError,
    ShapeError,
    UnsupportedError,
    UsageError,
    WeightError,
)
from .loading.fold import fold
from .loading.load import load
from .loading.save import save_caffemodel
from .network.backward import Diffs, backward
from .network.net import CaffeNet
from .network.summary import format_summary, summarize
from .onnx.export import check_onnx, export_onnx
from .onnx.quantization.calibration import Calibration
from .preprocessing import Preprocessing, preprocess
from .verification.report import Report
from .verification.verify import verify

__version__: str

__all__ = [
    "CaffeError",
    "CaffeNet",
    "Calibration",
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
    "fold",
    "format_summary",
    "load",
    "preprocess",
    "save_caffemodel",
    "sknet",
    "summarize",
    "training",
    "verify",
]
