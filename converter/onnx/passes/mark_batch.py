"""A network's batch, for engines that find it out by its operators."""

from __future__ import annotations

from onnx import helper

from converter.onnx.graph import Graph, readers
from converter.onnx.targets import get_target

from .request import Request

KNOWN = {"Conv", "ConvTranspose", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"}
"""Operators whose first input's first axis is a batch."""


def mark_batch(graph: Graph, request: Request) -> str:
    """Put a pooling of single values behind the inputs of networks that know five axes.

    pnnx takes the batch out where an operator tells it, and ncnn is left with four axes. Where none
    does, it writes all five.
    """
    name = request.options["target"]
    if not name or get_target(name).volumes:
        return ""
    values = {**graph.inputs, **graph.values, **graph.outputs}
    told = any(node.op_type in KNOWN for node in graph.nodes)
    if told or not any(len(dims) == 5 for _, dims in values.values()):
        return ""
    read = readers(graph.nodes)
    for value, (_, dims) in graph.inputs.items():
        if not 3 <= len(dims) <= 5:
            continue
        marked = f"{value}/marked"
        for node in read[value]:
            for place, one in enumerate(node.input):
                if one == value:
                    node.input[place] = marked
        ones = [1] * (len(dims) - 2)
        pool = helper.make_node(
            "MaxPool", [value], [marked], marked, kernel_shape=ones, strides=ones
        )
        graph.nodes.insert(0, pool)
        graph.layers[marked] = graph.layers.get(value, value)
    return ""
