"""Caffe's file formats: definitions and weights, of BVLC and of its forks. Needs no torch."""

from prototxt.blob import Blob
from prototxt.caffemodel import LayerWeights, Weights, write_caffemodel
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
from prototxt.read import read_blob, read_net, read_solver, read_weights
from prototxt.split import insert_splits
from prototxt.text import format_text, parse_text

__all__ = [
    "Blob",
    "CaffeError",
    "FormatError",
    "LayerWeights",
    "Net",
    "ShapeError",
    "UnsupportedError",
    "WeightError",
    "Weights",
    "filter_net",
    "format_text",
    "insert_splits",
    "parse_text",
    "read_blob",
    "read_net",
    "read_solver",
    "read_weights",
    "within",
    "write_caffemodel",
]
