"""PReLU after convolutions of eight bits that make one place, spelt for OpenVINO."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from converter.onnx.dtypes import sizes_of
from converter.onnx.graph import Graph, makers

from .request import Request


def spell_prelu(graph: Graph, request: Request) -> str:
    """Write `max(x, 0) + slope * min(x, 0)` for PRelu after a convolution that may make one place.

    OpenVINO 2026.4 computes something else of a convolution of eight bits and a PRelu, with a free
    batch that is 1, where height and width are 1: a PRelu alone, and spelt so, is right.
    """
    if request.calibration is None or request.options["target"] != "openvino":
        return ""
    if all(node.op_type != "PRelu" for node in graph.nodes):
        return ""
    made_by, sizes = makers(graph.nodes), sizes_of(graph)
    nodes: list[onnx.NodeProto] = []
    count = 0
    for node in graph.nodes:
        before = made_by.get(node.input[0]) if node.op_type == "PRelu" else None
        places = sizes.get(node.input[0], (0, 0, 0))[2:] if before is not None else (2,)
        if before is None or before.op_type != "Conv" or any(size > 1 for size in places):
            nodes.append(node)
            continue
        nodes += _spelt(graph, node)
        count += 1
    graph.nodes[:] = nodes
    return f"{count} PReLUs are spelt as the larger and the smaller than 0" if count else ""


def _spelt(graph: Graph, node: onnx.NodeProto) -> list[onnx.NodeProto]:
    (x, slope), (made,) = node.input, node.output
    above, below, less, zero = (f"{made}/{what}" for what in ("above", "below", "less", "zero"))
    graph.initializers[zero] = np.zeros((), np.float32)
    for name in (above, below, less):
        graph.layers[name] = graph.layers.get(made, made)
    return [
        helper.make_node("Max", [x, zero], [above]),
        helper.make_node("Min", [x, zero], [below]),
        helper.make_node("Mul", [below, slope], [less]),
        helper.make_node("Add", [above, less], [made], node.name),
    ]
