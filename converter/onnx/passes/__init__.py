"""Rewritings of an emitted ONNX graph, one a file: each changes the graph and says what it did."""

from .embed_preprocessing import embed_preprocessing, embedded_sizes
from .fold_bn import fold_bn
from .join_groups import join_groups
from .to_half import fits_half, to_half

__all__ = [
    "embed_preprocessing",
    "embedded_sizes",
    "fits_half",
    "fold_bn",
    "join_groups",
    "to_half",
]
