"""A choice between two, `b + (a - b) * w`, as the sum of what each of them is weighed by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper

from converter.onnx.graph import Graph, makers, readers

from .request import Request

ONE = "const/one"


@dataclass(frozen=True)
class Choice:
    """Three nodes, `add(mul(sub(a, b), weight), b)`, which nobody else looks into."""

    add: onnx.NodeProto
    mul: onnx.NodeProto
    sub: onnx.NodeProto
    weight: str


def weigh_each(graph: Graph, request: Request) -> str:
    """Write `a * w + b * (1 - w)`, in eight bits, where an optimised network has the other form.

    It has a product more, and yet takes less time: engines multiply and add eight bits, and have
    no difference of them.
    """
    if request.calibration is None:
        return ""
    made_by, reading = makers(graph.nodes), readers(graph.nodes)
    found = {
        id(node): choice
        for node in graph.nodes
        if (choice := _choice(node, graph, made_by, reading)) is not None
    }
    if not found:
        return ""
    graph.initializers[ONE] = np.array(1, np.float32)
    gone = {id(node) for choice in found.values() for node in (choice.mul, choice.sub)}
    nodes: list[onnx.NodeProto] = []
    for node in graph.nodes:
        if id(node) in found:
            nodes += _weighed(graph, found[id(node)])
        if id(node) not in gone:
            nodes.append(node)
    graph.nodes[:] = nodes
    return f"{len(found)} selections weigh each of their branches"


def _choice(
    node: onnx.NodeProto,
    graph: Graph,
    made_by: Mapping[str, onnx.NodeProto],
    reading: Mapping[str, list[onnx.NodeProto]],
) -> Choice | None:
    """Return the choice that an Add ends, if it does."""
    for mul, second in _made_of(node, "Add", "Mul", made_by):
        for sub, weight in _made_of(mul, "Mul", "Sub", made_by):
            inner = (mul.output[0], sub.output[0])
            unseen = all(len(reading[name]) == 1 and name not in graph.outputs for name in inner)
            if sub.input[1] == second and unseen:
                return Choice(node, mul, sub, weight)
    return None


def _made_of(
    node: onnx.NodeProto, kind: str, inner: str, made_by: Mapping[str, onnx.NodeProto]
) -> Iterator[tuple[onnx.NodeProto, str]]:
    """Yield the node of a type that makes an input of a node of another, and its other input."""
    for one, other in ((0, 1), (1, 0)) if node.op_type == kind else ():
        maker = made_by.get(node.input[one])
        if maker is not None and maker.op_type == inner:
            yield maker, node.input[other]


def _weighed(graph: Graph, choice: Choice) -> list[onnx.NodeProto]:
    """Return the nodes before the Add, which then adds the two."""
    first, second = choice.sub.input
    terms = [choice.mul.output[0], choice.sub.output[0]]
    rest = f"{choice.add.output[0]}/rest"
    layer = graph.layers.get(choice.add.output[0])
    if layer is not None:
        graph.layers[rest] = layer
    choice.add.input[:] = terms
    return [
        helper.make_node("Sub", [ONE, choice.weight], [rest]),
        helper.make_node("Mul", [first, choice.weight], terms[:1], choice.mul.name),
        helper.make_node("Mul", [second, rest], terms[1:], choice.sub.name),
    ]
