"""Joining the small groups of convolutions, with zeros between them."""

from __future__ import annotations

import numpy as np
import onnx

from converter.onnx.graph import Graph

BLOCK = 16
"""Channels that ONNX Runtime's kernels take at a time on a processor with AVX-512; on others 8."""
MOST = 4
"""Groups that are joined at most: each makes as many times the products."""


def join_groups(graph: Graph) -> int:
    """Join groups of a few channels into groups of 16; return how many convolutions changed.

    ONNX Runtime computes a convolution whose groups are no multiple of its block by a general
    matrix product for each group, out of the layout that the others share. Joined, with zeros where
    groups do not meet, there are more products, and yet it takes less time, most of all with eight
    channels a group. Convolutions with one channel a group have kernels of their own and stay.
    """
    joined = []
    for node in graph.nodes:
        weight = graph.initializers.get(node.input[1]) if node.op_type == "Conv" else None
        if weight is None:
            continue
        group = _group(node)
        channels, number = weight.shape[1], group.i if group is not None else 1
        times = BLOCK // channels if channels else 0
        whole = channels * times == BLOCK and weight.shape[0] % number == 0
        if group is None or not 1 < times <= MOST or not whole or number % times:
            continue
        name = f"{node.name}.joined_weight"
        graph.initializers[name] = _joined(weight, number, times)
        graph.learned.add(name)
        joined.append(node.input[1])
        node.input[1] = name
        group.i = number // times
    graph.drop_unread(joined)
    return len(joined)


def _group(node: onnx.NodeProto) -> onnx.AttributeProto | None:
    return next((attribute for attribute in node.attribute if attribute.name == "group"), None)


def _joined(weight: np.ndarray, groups: int, times: int) -> np.ndarray:
    """Return filters of `times` as many channels, each with its own where its group's are."""
    outputs, channels, *kernel = weight.shape
    own = weight.reshape(groups // times, times, outputs // groups, channels, *kernel)
    made = np.zeros((*own.shape[:3], times, *own.shape[3:]), weight.dtype)
    for place in range(times):
        made[:, place, :, place] = own[:, place]
    return made.reshape(outputs, times * channels, *kernel)
