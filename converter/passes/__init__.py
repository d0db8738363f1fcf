"""Rewritings of an emitted ONNX graph, one a file: each changes the graph and says what it did."""

from .fold_bn import fold_bn
from .half import fits_half, to_half
from .join_groups import join_groups

__all__ = ["fits_half", "fold_bn", "join_groups", "to_half"]
