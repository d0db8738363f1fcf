"""Which nodes of a graph compute in eight bits."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto

from converter.onnx.graph import Graph, attribute, readers, subgraphs

PRODUCTS = frozenset({"Conv", "Gemm", "MatMul"})
"""What eight bits are for: products by constant weights, which engines have kernels for."""
ACTIVATIONS = frozenset({"Relu", "Clip"})
"""What rounding does by itself, since the range ends where they cut."""
SHAPING = frozenset({"Flatten", "Identity", "Reshape", "Squeeze", "Unsqueeze"})
"""What gives the same numbers another shape."""
KEEPING = SHAPING | frozenset({"Gather", "MaxPool", "Resize", "Slice", "Split", "Transpose"})
"""What moves values or chooses among them: the same numbers, of the same scale."""
MAKING = frozenset(
    {
        *("Add", "AveragePool", "Concat", "GlobalAveragePool", "LeakyRelu", "Mul", "Relu"),
        *("Clip", "Sigmoid"),
    }
)
"""What engines compute of eight bits into eight bits of another scale."""


@dataclass
class Unit:
    """Nodes that are one operation on eight bits: a product and the activation after it, or one."""

    layer: str
    nodes: list[onnx.NodeProto]
    reads: list[str]
    """The values that it reads in eight bits."""
    makes: list[str]
    """The values that it makes in eight bits; none where its products stay float32."""
    weight: str = ""
    bias: str = ""
    axis: int = 0
    """Of the weight: that of the channels it makes."""
    scales: np.ndarray | None = None
    """The weight's, where a file says them; None where they follow from its values."""

    @property
    def product(self) -> bool:
        """Tell whether it has weights."""
        return bool(self.weight)

    @property
    def keeps(self) -> bool:
        """Tell whether what it makes has the scale of what it reads."""
        return self.nodes[0].op_type in KEEPING


@dataclass
class Units:
    """The units of a graph, in its order."""

    units: list[Unit] = field(default_factory=list)

    @property
    def values(self) -> dict[str, None]:
        """The values that are in eight bits."""
        names = [name for unit in self.units for name in (*unit.reads, *unit.makes)]
        return dict.fromkeys(names)

    @property
    def operators(self) -> set[str]:
        """The types of their nodes."""
        return {node.op_type for unit in self.units for node in unit.nodes}


def with_sums_inside(units: Units, graph: Graph) -> Units:
    """Return units where a sum reads one convolution's products as they are, in 32 bits.

    OpenVINO adds to the products of a convolution whatever else the sum reads, in one kernel, as
    long as nothing rounds them between. ONNX Runtime adds eight bits alone.
    """
    reading = readers(graph.nodes)
    plain = [unit for unit in units.units if unit.product and len(unit.nodes) == 1]
    makers = {name: unit for unit in plain for name in unit.makes}
    for unit in units.units:
        if unit.nodes[0].op_type != "Add" or len(unit.reads) < 2:
            continue
        alone = [
            name
            for name in unit.reads
            if name in makers and len(reading[name]) == 1 and name not in graph.outputs
        ]
        if alone:
            inside = alone[-1]
            unit.reads.remove(inside)
            makers[inside].makes.remove(inside)
    return units


def find_units(graph: Graph, dtypes: Mapping[str, int], floats: Collection[str] = ()) -> Units:
    """Return what computes in eight bits: products by weights, and what lies between two of them.

    Layers among `floats` stay in float32. What comes before the first product and after the last
    one does too; the last one's own sums are rounded only where engines have no other form, as in
    a convolution.
    """
    reading = readers(graph.nodes)
    finder = _Finder(graph, dtypes, frozenset(floats), reading)
    return Units(list(finder.find()))


class _Finder:
    def __init__(
        self,
        graph: Graph,
        dtypes: Mapping[str, int],
        floats: frozenset[str],
        reading: Mapping[str, list[onnx.NodeProto]],
    ) -> None:
        self.graph, self.dtypes, self.floats, self.reading = graph, dtypes, floats, reading
        self.leading = self._find_leading()
        self.eight: set[str] = set()
        """The values that are in eight bits so far."""
        self.taken: set[int] = set()

    def find(self) -> Iterator[Unit]:
        for node in self.graph.nodes:
            if id(node) in self.taken or self._layer(node) in self.floats:
                continue
            unit = self._product(node) if self._multiplies(node) else self._follower(node)
            if unit is not None:
                self.eight.update(unit.reads, unit.makes)
                self.taken.update(map(id, unit.nodes))
                yield unit

    def _layer(self, node: onnx.NodeProto) -> str:
        return self.graph.layers.get(node.output[0], node.output[0])

    def _multiplies(self, node: onnx.NodeProto) -> bool:
        """Tell whether a node is a product by weights of its own."""
        if node.op_type not in PRODUCTS or self.dtypes.get(node.input[0]) != TensorProto.FLOAT:
            return False
        constants = [self.graph.initializers.get(name) for name in node.input[1:] if name]
        whole = all(one is not None and one.dtype == np.float32 for one in constants)
        plain = attribute(node, "alpha", 1.0) == attribute(node, "beta", 1.0) == 1.0
        straight = not attribute(node, "transA", 0)
        weight = constants[0]
        flat = node.op_type == "Conv" or (weight is not None and weight.ndim == 2)
        others = [one for one in self.reading[node.input[1]] if one is not node]
        same = all(
            one.op_type == node.op_type
            and attribute(one, "transB", 0) == attribute(node, "transB", 0)
            and self._layer(one) not in self.floats
            for one in others
        )
        outside = node.input[0] not in self.graph.initializers
        return whole and plain and straight and flat and same and outside

    def _product(self, node: onnx.NodeProto) -> Unit:
        """Return a product's unit, with the activation that alone reads it."""
        nodes = [node]
        (made,) = node.output
        after = self.reading.get(made, [])
        if len(after) == 1 and self._only_cuts(after[0]) and made not in self.graph.outputs:
            nodes.append(after[0])
            made = after[0].output[0]
        last = made not in self.leading
        unrounded = last and node.op_type != "Conv"
        bias = node.input[2] if len(node.input) > 2 else ""
        across = node.op_type == "MatMul" or (
            node.op_type == "Gemm" and not attribute(node, "transB", 0)
        )
        return Unit(
            self._layer(node),
            nodes,
            [node.input[0]],
            [] if unrounded else [made],
            node.input[1],
            bias,
            1 if across else 0,
        )

    def _only_cuts(self, node: onnx.NodeProto) -> bool:
        if node.op_type not in ACTIVATIONS or self._layer(node) in self.floats:
            return False
        return all(name in self.graph.initializers for name in node.input[1:] if name)

    def _follower(self, node: onnx.NodeProto) -> Unit | None:
        """Return the unit of what works on the eight bits of others; None where that is not so."""
        if not self._may_follow(node):
            return None
        read = self._activations(node)
        if self.eight.isdisjoint(read):
            return None
        nodes = [node]
        after = self.reading.get(node.output[0], [])
        cut = node.op_type == "Add" and len(after) == 1 and self._only_cuts(after[0])
        if cut and node.output[0] not in self.graph.outputs:
            nodes.append(after[0])
        return Unit(self._layer(node), nodes, read, list(nodes[-1].output))

    def _activations(self, node: onnx.NodeProto) -> list[str]:
        """Return the numbers that a node reads, each once."""
        return [
            name
            for name in dict.fromkeys(node.input)
            if self.dtypes.get(name) == TensorProto.FLOAT and name not in self.graph.initializers
        ]

    def _may_follow(self, node: onnx.NodeProto) -> bool:
        """Tell whether eight bits may go through a node, and a product reads what comes out."""
        if node.op_type not in KEEPING | MAKING or subgraphs(node):
            return False
        if any(self.dtypes.get(name) != TensorProto.FLOAT for name in node.output if name):
            return False  # places, or integers that are no numbers
        constants = [
            name
            for name in node.input
            if name in self.graph.initializers and self.dtypes.get(name) == TensorProto.FLOAT
        ]
        if constants and node.op_type not in ACTIVATIONS | {"Resize"}:
            return False  # a factor for each channel is no tensor of one scale
        if node.op_type == "Resize" and attribute(node, "mode", b"nearest") != b"nearest":
            return False
        return any(name in self.leading for name in node.output)

    def _find_leading(self) -> set[str]:
        """Return the values that products read, by way of what eight bits may go through."""
        found: set[str] = set()
        for node in reversed(self.graph.nodes):
            if self._layer(node) in self.floats:
                continue
            through = node.op_type in KEEPING | MAKING and not found.isdisjoint(node.output)
            if through or self._multiplies(node):
                found.update(self._activations(node))
        return found
