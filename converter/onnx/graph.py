"""An ONNX graph as data: its nodes, and weights that no protobuf message holds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper

Dim = int | str | None
"""A fixed size, the name of a dynamic one, or a dynamic one without a name."""


@dataclass
class Graph:
    """An ONNX graph whose weights are arrays that no protobuf message holds."""

    name: str
    opset: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    inputs: dict[str, tuple[int, list[Dim]]] = field(default_factory=dict)
    outputs: dict[str, tuple[int, list[Dim]]] = field(default_factory=dict)
    values: dict[str, tuple[int, list[Dim]]] = field(default_factory=dict)
    initializers: dict[str, np.ndarray] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    image: str = ""
    """The input that takes images, where preprocessing is a part of the graph."""
    layers: dict[str, str] = field(default_factory=dict)
    """The layer that made a value."""
    learned: set[str] = field(default_factory=set)
    """The initializers that are layers' blobs; the others are constants."""
    notes: list[str] = field(default_factory=list)
    """What whoever uses the model should know."""

    def drop_unread(self, names: Iterable[str]) -> None:
        """Forget those initializers of these names that nothing reads any more."""
        read = {name for node in self.nodes for name in reads(node)} | self.outputs.keys()
        for name in (set(names) & self.initializers.keys()) - read:
            del self.initializers[name]

    def drop_dead(self) -> None:
        """Forget the nodes of which nothing is read and nothing is a blob."""
        read = self.outputs.keys() | self.values.keys()
        living = []
        for node in reversed(self.nodes):
            if read.isdisjoint(node.output):
                for name in node.output:
                    self.layers.pop(name, None)
                continue
            living.append(node)
            read.update(reads(node))
        self.nodes = living[::-1]


def subgraphs(node: onnx.NodeProto) -> list[onnx.GraphProto]:
    """Return the bodies of a node (Scan, Loop, If)."""
    return [one.g for one in node.attribute if one.type == onnx.AttributeProto.GRAPH]


def reads(node: onnx.NodeProto) -> Iterable[str]:
    """Yield the values that a node reads, those that only its bodies read included."""
    yield from node.input
    for body in subgraphs(node):
        for inner in body.node:
            yield from reads(inner)


def rounds(node: onnx.NodeProto) -> bool:
    """Tell whether a node makes whole numbers of a value's floats, or floats of them."""
    return node.op_type in ("QuantizeLinear", "DequantizeLinear")


def makers(nodes: Iterable[onnx.NodeProto]) -> dict[str, onnx.NodeProto]:
    """Return the node that makes each value."""
    return {name: node for node in nodes for name in node.output}


def readers(nodes: Iterable[onnx.NodeProto]) -> dict[str, list[onnx.NodeProto]]:
    """Return the nodes that read each value, one as often as it does."""
    found: dict[str, list[onnx.NodeProto]] = defaultdict(list)
    for node in nodes:
        for name in reads(node):
            found[name].append(node)
    return found


def rename(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    """Rename values, old name to new, that a node and its bodies read and make."""
    for values in (node.input, node.output):
        for index, name in enumerate(values):
            if name in names:
                values[index] = names[name]
    for body in subgraphs(node):
        for inner in body.node:
            rename(inner, names)


def attribute(node: onnx.NodeProto, name: str, default: Any) -> Any:
    """Return an attribute of a node, or its default."""
    found = (one for one in node.attribute if one.name == name)
    return next((helper.get_attribute_value(one) for one in found), default)
