"""The strides of convolutions of one place, taken before them."""

from __future__ import annotations

from copy import deepcopy

import onnx
from onnx import helper

from converter.onnx.graph import Graph, attribute

from .request import Request


def pool_strides(graph: Graph, request: Request) -> str:
    """Let a pool of one place take the strides of 1 x 1 convolutions, in eight bits for OpenVINO.

    OpenVINO takes strides to the front by itself, and past QuantizeLinear and DequantizeLinear:
    those convolutions then compute in float32. Those that read one value with the same strides
    share a pool, which passes on every second value, or third.
    """
    if request.calibration is None or request.options["target"] != "openvino":
        return ""
    pools: dict[tuple[str, tuple[int, ...]], str] = {}
    nodes: list[onnx.NodeProto] = []
    count = 0
    for node in graph.nodes:
        strides = tuple(attribute(node, "strides", ()))
        if not _strides_alone(node, strides):
            nodes.append(node)
            continue
        key = (node.input[0], strides)
        if key not in pools:
            pools[key] = f"{node.output[0]}/every"
            graph.layers[pools[key]] = graph.layers.get(node.output[0], node.output[0])
            ones = [1] * len(strides)
            nodes.append(
                helper.make_node(
                    "MaxPool", [node.input[0]], [pools[key]], kernel_shape=ones, strides=strides
                )
            )
        plain = deepcopy(node)
        plain.input[0] = pools[key]
        next(one for one in plain.attribute if one.name == "strides").ints[:] = [1] * len(strides)
        nodes.append(plain)
        count += 1
    graph.nodes[:] = nodes
    return f"the strides of {count} convolutions are taken by pools before them" if count else ""


def _strides_alone(node: onnx.NodeProto, strides: tuple[int, ...]) -> bool:
    """Tell whether a node is a convolution of one place that skips places."""
    kernel = attribute(node, "kernel_shape", ())
    whole = node.op_type == "Conv" and bool(kernel) and set(kernel) == {1}
    return whole and not any(attribute(node, "pads", ())) and any(one > 1 for one in strides)
