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
from prototxt.hdf5 import write_hdf5
from prototxt.net import Net
from prototxt.read import (
    embedded_net,
    read_blob,
    read_net,
    read_solver,
    read_solverstate,
    read_weights,
)
from prototxt.solverstate import SolverState, write_solverstate
from prototxt.split import insert_splits
from prototxt.text import format_text, parse_text

__all__ = [
    "Blob",
    "CaffeError",
    "FormatError",
    "LayerWeights",
    "Net",
    "ShapeError",
    "SolverState",
    "UnsupportedError",
    "WeightError",
    "Weights",
    "embedded_net",
    "filter_net",
    "format_text",
    "insert_splits",
    "parse_text",
    "read_blob",
    "read_net",
    "read_solver",
    "read_solverstate",
    "read_weights",
    "within",
    "write_caffemodel",
    "write_hdf5",
    "write_solverstate",
]
