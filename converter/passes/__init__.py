"""Rewritings of an emitted ONNX graph, one a file: each changes the graph and says how often."""

from .fold_bn import fold_bn

__all__ = ["fold_bn"]
