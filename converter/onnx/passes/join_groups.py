"""Joining the small groups of convolutions, with zeros between them."""

from __future__ import annotations

import numpy as np
import onnx

from converter.onnx.graph import Graph, attribute

from .request import Request

CHANNEL_BLOCK = 16
"""Channels that ONNX Runtime's kernels take at a time on a processor with AVX-512; on others 8."""
MOST_GROUPS_JOINED = 4
"""Each group that is joined makes as many times the products."""
ANY_GROUPS = ("openvino",)
"""Engines that take longer for joined groups: for SKNet-50 in eight bits 1.15 times as long."""
BLOCKS_OF_EIGHT_BITS = {4: 16, 8: 16, 16: 32}
"""The channels that groups are joined to in eight bits, by a group's own: what takes least time.
Products are cheap there; groups of 16 lie on small maps, where a convolution's start is not."""


def join_groups(graph: Graph, request: Request) -> str:
    """Join groups of a few channels into groups of 16, where the network is an optimised one.

    ONNX Runtime computes a convolution whose groups are no multiple of its block by a general
    matrix product for each group, out of the layout that the others share. Joined, with zeros where
    groups do not meet, there are more products, and yet it takes less time, most of all with eight
    channels a group. In eight bits groups of 16 become groups of 32.
    Convolutions with one channel a group have kernels of their own and stay; so do all of a file
    for an engine that has kernels for groups of any size.
    """
    if not request.optimized or request.options["target"] in ANY_GROUPS:
        return ""
    eight = request.calibration is not None
    replaced = []
    for node in graph.nodes:
        weight = graph.initializers.get(node.input[1]) if node.op_type == "Conv" else None
        groups = attribute(node, "group", 1)
        times = _times(weight, groups, eight) if weight is not None else 1
        if weight is None or times == 1:
            continue
        name = f"{node.name}.joined_weight"
        graph.initializers[name] = _joined(weight, groups, times)
        graph.learned.add(name)
        replaced.append(node.input[1])
        node.input[1] = name
        _set_groups(node, groups // times)
    graph.drop_unread(replaced)
    if not replaced:
        return ""
    return f"joined the small groups of {len(replaced)} convolutions, zeros between them"


def _times(weight: np.ndarray, groups: int, eight: bool) -> int:
    """Return how many groups become one; 1 where they stay."""
    outputs, channels = weight.shape[:2]
    block = BLOCKS_OF_EIGHT_BITS.get(channels, channels) if eight else CHANNEL_BLOCK
    times = block // channels if channels else 1
    whole = channels * times == block and outputs % groups == 0 and groups % times == 0
    return times if whole and (eight or times <= MOST_GROUPS_JOINED) else 1


def _set_groups(node: onnx.NodeProto, groups: int) -> None:
    (group,) = (one for one in node.attribute if one.name == "group")
    group.i = groups


def _joined(weight: np.ndarray, groups: int, times: int) -> np.ndarray:
    """Return filters of `times` as many channels, each with its own where its group's are."""
    outputs, channels, *kernel = weight.shape
    own = weight.reshape(groups // times, times, outputs // groups, channels, *kernel)
    made = np.zeros((*own.shape[:3], times, *own.shape[3:]), weight.dtype)
    for place in range(times):
        made[:, place, :, place] = own[:, place]
    return made.reshape(outputs, times * channels, *kernel)
