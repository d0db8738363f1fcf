"""Caffe's file formats: definitions and weights, of BVLC and of its forks. Needs no torch."""

from prototxt.errors import (
    CaffeError,
    FormatError,
    ShapeError,
    UnsupportedError,
    WeightError,
    within,
)
from prototxt.filter import filter_net
from prototxt.net import Net
from prototxt.read import read_net
from prototxt.text import format_text, parse_text

__all__ = [
    "CaffeError",
    "FormatError",
    "Net",
    "ShapeError",
    "UnsupportedError",
    "WeightError",
    "filter_net",
    "format_text",
    "parse_text",
    "read_net",
    "within",
]
