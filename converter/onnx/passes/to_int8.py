"""Eight bits: products and what lies between them, with scales that are measured."""

from __future__ import annotations

from converter.onnx.graph import Graph
from converter.onnx.quantization.quantize import quantize, quantize_by_file

from .request import Request


def to_int8(graph: Graph, request: Request) -> str:
    """Put a graph of float32 into eight bits where that is asked for.

    Products by weights, and what engines compute of their eight bits up to the next ones, are put
    between QuantizeLinear and DequantizeLinear; inputs and outputs are float32, and so is what
    comes before the first product and after the last one. Layers that eight bits do harm to stay
    float32: they are found by measuring, and the notes name them. With `file_scales` it is what the
    file has scales for, by these, and nothing is measured.
    """
    if request.calibration is not None:
        notes = quantize(graph, request.calibration, request.options["target"])
    elif request.file_scales:
        notes = quantize_by_file(graph, request.file_scales)
    else:
        return ""
    graph.notes += notes[1:]
    return notes[0]
