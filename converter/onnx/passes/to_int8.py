"""Eight bits: products and what lies between them, with scales that are measured."""

from __future__ import annotations

from converter.onnx.graph import Graph
from converter.onnx.quantization.quantize import quantize

from .request import Request


def to_int8(graph: Graph, request: Request) -> str:
    """Put a graph of float32 into eight bits where that is asked for.

    Products by weights, and what engines compute of their eight bits up to the next ones, are put
    between QuantizeLinear and DequantizeLinear; inputs and outputs are float32, and so is what
    comes before the first product and after the last one. Layers that eight bits do harm to stay
    float32: they are found by measuring, and the notes name them.
    """
    if request.calibration is None:
        return ""
    notes = quantize(graph, request.calibration)
    graph.notes += notes[1:]
    return notes[0]
