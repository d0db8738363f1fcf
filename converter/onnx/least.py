"""What the values of a graph cannot be below."""

from __future__ import annotations

from math import inf

import onnx

from .graph import Graph, makers

FROM_ZERO = {"Abs", "Exp", "ReduceL1", "ReduceL2", "Relu", "Softplus", "Sqrt"}
OF_ITS_INPUT = {"Identity", "MaxPool", "Reshape", "Transpose", "Unsqueeze"}
BETWEEN_ITS_INPUT_AND_ZERO = {"AveragePool", "Pad", "ReduceMean", "ReduceSum"}
"""Sums and means of values that are not negative, beside zeros or not."""


def least(value: str, graph: Graph) -> float:
    """Return a number that no element of a value is below; -inf where nothing is known."""
    return _least(value, graph, makers(graph.nodes))


def _least(value: str, graph: Graph, made_by: dict[str, onnx.NodeProto]) -> float:
    if value in graph.initializers:
        return float(graph.initializers[value].min(initial=inf))
    node = made_by.get(value)
    if node is None:
        return -inf
    if node.op_type in FROM_ZERO or (node.op_type == "Mul" and len({*node.input}) == 1):
        return 0.0
    below = [_least(name, graph, made_by) for name in node.input if name]
    if node.op_type == "Add":
        return sum(below)
    if node.op_type == "Max":
        return max(below)
    if node.op_type == "Mul" and min(below) >= 0:
        return 0.0
    if node.op_type in OF_ITS_INPUT:
        return below[0]
    if node.op_type in BETWEEN_ITS_INPUT_AND_ZERO and below[0] >= 0:
        return 0.0
    return -inf
