from .binary.blob import Blob
from .binary.caffemodel import LayerWeights, Weights, write_caffemodel
from .errors import (
    CaffeError,
    FormatError,
    ShapeError,
    UnsupportedError,
    UsageError,
    WeightError,
    within,
)
from .hdf5.weights import write_hdf5
from .net import Net
from .passes.filter import filter_net
from .passes.insert_splits import insert_splits
from .read import embedded_net, read_blob, read_net, read_solver, read_solverstate, read_weights
from .solverstate import SolverState, write_solverstate
from .text.parse import format_text, parse_text

__all__ = [
    "Blob",
    "CaffeError",
    "FormatError",
    "LayerWeights",
    "Net",
    "ShapeError",
    "SolverState",
    "UnsupportedError",
    "UsageError",
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
