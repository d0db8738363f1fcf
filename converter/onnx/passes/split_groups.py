"""The groups of a convolution as convolutions of their own."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy

import numpy as np
import onnx
from onnx import helper

from converter.onnx.graph import Graph, attribute, readers

from .join_groups import BLOCKS_OF_EIGHT_BITS
from .request import Request

MOST_PARTS = 16
"""More groups take more time one by one than together: each is a node with a loop of its own."""


def split_groups(graph: Graph, request: Request) -> str:
    """Compute the groups of a convolution one by one, in eight bits and an optimised network.

    ONNX Runtime has a kernel for convolutions of one group that reads windows where they lie; for
    others it copies them. With 16 or 32 channels a group that takes a third less time, in spite of
    the taking apart, which is done once for all that read the same, and putting together. A ReLU
    that alone follows stays with its convolution. Files for other engines than ONNX Runtime keep
    their groups.
    """
    asked = request.calibration is not None and request.optimized
    if not asked or request.options["target"] not in (None, "onnxruntime"):
        return ""
    reading = readers(graph.nodes)
    nodes: list[onnx.NodeProto] = []
    gone: set[int] = set()
    count = 0
    splits: dict[tuple[str, int], onnx.NodeProto] = {}
    for node in graph.nodes:
        if id(node) in gone:
            continue
        if not _splits(graph, node):
            nodes.append(node)
            continue
        (made,) = node.output
        after = reading.get(made, [])
        cut = after[0] if len(after) == 1 and after[0].op_type == "Relu" else None
        if cut is not None and made not in graph.values.keys() | graph.outputs.keys():
            gone.add(id(cut))
        else:
            cut = None
        read = (node.input[0], attribute(node, "group", 1))
        if read not in splits:
            splits[read] = _split(graph, node)
            nodes.append(splits[read])
        nodes += _parts(graph, node, cut, splits[read].output)
        count += 1
    graph.nodes[:] = nodes
    graph.drop_unread(reading)
    return f"the groups of {count} convolutions are convolutions of their own" if count else ""


def _splits(graph: Graph, node: onnx.NodeProto) -> bool:
    """Tell whether a node is a convolution with groups that are worth it."""
    if node.op_type != "Conv" or not 1 < attribute(node, "group", 1) <= MOST_PARTS:
        return False
    if any(name not in graph.initializers for name in node.input[1:]):
        return False
    outputs, channels = graph.initializers[node.input[1]].shape[:2]
    blocks = {*BLOCKS_OF_EIGHT_BITS.values()}
    return bool(channels in blocks and outputs // attribute(node, "group", 1) % channels == 0)


def _split(graph: Graph, node: onnx.NodeProto) -> onnx.NodeProto:
    """Return what takes apart the channels that a convolution reads."""
    (made,) = node.output
    groups = attribute(node, "group", 1)
    sizes = f"{node.name}.sizes"
    channels = graph.initializers[node.input[1]].shape[1]
    graph.initializers[sizes] = np.full(groups, channels, np.int64)
    taken = [f"{made}/part{part}" for part in range(groups)]
    graph.layers |= dict.fromkeys(taken, graph.layers.get(made, made))
    return helper.make_node("Split", [node.input[0], sizes], taken, f"{node.name}/Split", axis=1)


def _parts(
    graph: Graph, node: onnx.NodeProto, cut: onnx.NodeProto | None, taken: Sequence[str]
) -> list[onnx.NodeProto]:
    """Return what takes the place of a convolution and the ReLU after it; `taken` are its parts."""
    groups = len(taken)
    last = node if cut is None else cut
    (made,) = last.output
    layer = graph.layers.get(made, made)
    nodes: list[onnx.NodeProto] = []
    ends = []
    for part, source in enumerate(taken):
        one = deepcopy(node)
        one.name = f"{node.name}/{part}"
        one.input[0], one.output[0] = source, f"{made}/sum{part}"
        next(each for each in one.attribute if each.name == "group").i = 1
        for at, name in enumerate(node.input[1:], 1):
            one.input[at] = _part_of(graph, name, part, groups)
        nodes.append(one)
        ends.append(one.output[0])
        if cut is not None:
            ends[-1] = f"{made}/relu{part}"
            nodes.append(helper.make_node("Relu", one.output, ends[-1:], f"{cut.name}/{part}"))
    nodes.append(helper.make_node("Concat", ends, [made], f"{node.name}/Concat", axis=1))
    graph.layers |= {name: layer for each in nodes for name in each.output}
    return nodes


def _part_of(graph: Graph, name: str, part: int, groups: int) -> str:
    """Keep one group's part of a blob; return its name."""
    whole = graph.initializers[name]
    size = len(whole) // groups
    made = f"{name}.{part}"
    graph.initializers[made] = whole[part * size : (part + 1) * size]
    graph.learned.add(made)
    return made
