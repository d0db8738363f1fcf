"""QuantizeLinear and DequantizeLinear around the units of a graph."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper

from converter.onnx.graph import Graph, makers, rename

from .apart import keep_apart
from .numbers import Rounding, least_scales, quantized_bias, quantized_weight
from .units import Unit, Units

EIGHT, FLOAT = "eight", "float"
"""What is appended to a value's name for its eight bits, and for it before it is rounded."""


class PairsWriter:
    """Appends nodes to a graph, and renames what its nodes make.

    A value keeps its name for what its readers see: the rounded one. The node that makes it writes
    another. An input of the graph keeps its name too, so that its readers see another.
    """

    def __init__(self, graph: Graph, roundings: Mapping[str, Rounding]) -> None:
        self.graph, self.roundings = graph, roundings
        made = makers(graph.nodes).keys()
        self.names = {*made, *graph.inputs, *graph.initializers}
        self.scales: dict[str, np.ndarray] = {}
        self.least: dict[str, np.ndarray | float] = {}

    def write(self, units: Units) -> None:
        """Write the pairs of all units' values and weights."""
        values = units.values
        self.least = self._least_scales(units)
        biases = [unit.bias for unit in units.units if unit.bias]
        head = [node for name in self.graph.inputs if name in values for node in self._input(name)]
        head += [node for unit in units.units if unit.product for node in self._weights(unit)]
        nodes = []
        for node in list(self.graph.nodes):
            nodes.append(node)
            for name in list(node.output):
                if name in values:
                    nodes += self._rounded(node, name)
        self.graph.nodes[:] = head + nodes
        keep_apart(self.graph, self._fresh)
        self.graph.drop_unread(biases)

    def _input(self, name: str) -> list[onnx.NodeProto]:
        seen = self._fresh(name, "rounded")
        for node in self.graph.nodes:
            rename(node, {name: seen})
        return self._pair(name, seen, name)

    def _rounded(self, node: onnx.NodeProto, name: str) -> list[onnx.NodeProto]:
        before = self._fresh(name, FLOAT)
        rename(node, {name: before})
        if name in self.graph.layers:
            self.graph.layers[before] = self.graph.layers[name]
        return self._pair(before, name, name)

    def _pair(self, source: str, target: str, name: str) -> list[onnx.NodeProto]:
        """Return the two nodes that round a value."""
        rounding = self.roundings[name]
        scale, zero, eight = (self._fresh(name, one) for one in ("scale", "zero", EIGHT))
        self.graph.initializers |= {scale: np.array(rounding.scale), zero: np.array(rounding.zero)}
        return [
            helper.make_node("QuantizeLinear", [source, scale, zero], [eight]),
            helper.make_node("DequantizeLinear", [eight, scale, zero], [target]),
        ]

    def _weights(self, unit: Unit) -> list[onnx.NodeProto]:
        """Return what makes a unit's weights of eight bits, unless that is there, and its bias."""
        nodes = []
        if unit.weight not in self.scales:
            array = self.graph.initializers.pop(unit.weight)
            least = self.least[unit.weight]
            weight = quantized_weight(array, unit.axis, least, unit.scales)
            zeros = np.zeros(len(weight.scales), np.int8)
            inputs = self._kept(unit.weight, EIGHT, weight.values, weight.scales, zeros)
            nodes.append(_dequantized(inputs, unit.weight, unit.axis))
            self.scales[unit.weight] = weight.scales
        if unit.bias:
            scales = self._products(unit)
            bias = quantized_bias(self.graph.initializers[unit.bias], scales)
            inputs = self._kept(unit.bias, "32", bias, scales, np.zeros(len(scales), np.int32))
            unit.nodes[0].input[2] = self._fresh(unit.bias, "rounded")
            nodes.append(_dequantized(inputs, unit.nodes[0].input[2], 0))
        return nodes

    def _products(self, unit: Unit) -> np.ndarray:
        """Return the scales of a unit's products, one for each channel or one for all."""
        scale = float(self.roundings[unit.reads[0]].scale)
        return (self.scales[unit.weight].astype(np.float64) * scale).astype(np.float32)

    def _least_scales(self, units: Units) -> dict[str, np.ndarray | float]:
        """Return the least scales of each weight, which all biases beside it ask for."""
        least: dict[str, np.ndarray | float] = {unit.weight: 0.0 for unit in units.units}
        for unit in units.units:
            if unit.bias:
                scale = float(self.roundings[unit.reads[0]].scale)
                asked = least_scales(self.graph.initializers[unit.bias], scale)
                least[unit.weight] = np.maximum(least[unit.weight], asked)
        return least

    def _kept(
        self, name: str, what: str, values: np.ndarray, scales: np.ndarray, zeros: np.ndarray
    ) -> list[str]:
        """Keep a blob's numbers, their scales and their zeros; return what they are called."""
        made = [self._fresh(name, one) for one in (what, "scale", "zero")]
        self.graph.initializers |= dict(zip(made, (values, scales, zeros), strict=True))
        self.graph.learned.add(made[0])
        return made

    def _fresh(self, name: str, what: str) -> str:
        made = f"{name}/{what}"
        while made in self.names:
            made += "@"
        self.names.add(made)
        return made


def _dequantized(inputs: list[str], made: str, axis: int) -> onnx.NodeProto:
    return helper.make_node("DequantizeLinear", inputs, [made], axis=axis)
