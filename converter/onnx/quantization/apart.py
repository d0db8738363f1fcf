"""Products that stay float32 among eight bits, kept from being rounded by an engine.

ONNX Runtime's WeightBiasQuantization takes a convolution of float32 weights between a
DequantizeLinear and a QuantizeLinear for one whose weights were forgotten, and rounds them, all
with one scale: channels of small weights are nothing then. It looks through what moves values. A
Sum of one value stops it, which costs a copy and changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import onnx
from onnx import helper

from converter.onnx.graph import Graph, makers

from .units import KEEPING

MENDED = frozenset({"Conv", "ConvTranspose", "Gemm"})
"""The operators whose weights ONNX Runtime takes for forgotten."""


def keep_apart(graph: Graph, fresh: Callable[[str, str], str]) -> None:
    """Put a Sum before each product by float32 weights that reads rounded values.

    `fresh` returns a new name for a value, of its old one and a word.
    """
    made_by = makers(graph.nodes)
    nodes: list[onnx.NodeProto] = []
    for node in graph.nodes:
        if node.op_type in MENDED and node.input[1] in graph.initializers:
            source = node.input[0]
            if _rounded(source, made_by):
                node.input[0] = fresh(source, "apart")
                nodes.append(helper.make_node("Sum", [source], [node.input[0]]))
        nodes.append(node)
    graph.nodes[:] = nodes


def _rounded(name: str, made_by: Mapping[str, onnx.NodeProto]) -> bool:
    """Tell whether a value is a rounded one, or of such a one's numbers."""
    while (node := made_by.get(name)) is not None and node.op_type in KEEPING:
        name = node.input[0]
    return node is not None and node.op_type == "DequantizeLinear"
