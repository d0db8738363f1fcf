"""Half precision: weights and values in float16, in float32 what float16 cannot hold."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
import onnx
from onnx import TensorProto, helper

from converter.onnx.dtypes import dtypes_of
from converter.onnx.file import INLINE_BELOW
from converter.onnx.float16 import fits_half
from converter.onnx.graph import Graph, reads, rename

from .half_layers import LayerNodes, computes_floats, decide, find_unfit, layers_of
from .request import Request

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
LAYERS_NAMED = 6
"""In the sentence that says what stays in float32."""


def to_half(graph: Graph, request: Request) -> str:
    """Turn a graph of float32 into one of float16 where that is asked for.

    A layer computes in float16 from the first product with weights on, and its weights are float16,
    unless one of its operators is not known to be harmless (sums over many values, powers, softmax,
    boxes, loops) or float16 cannot hold its weights: then the whole layer is float32, with casts
    around it. Large weights of such a layer are kept as float16 all the same, if they fit. With
    `half_io` the inputs and outputs are float16 too, but for labels and indices. The notes name the
    layers whose weights do not fit.
    """
    if not request.half:
        return ""
    dtypes = dtypes_of(graph)
    layers = list(layers_of(graph))
    find_unfit(graph, layers, dtypes)
    half_io = request.options["half_io"]
    half = decide(layers, dtypes, _half_inputs(graph, layers, dtypes) if half_io else set())
    _Writer(graph, layers, dtypes, half, half_io=half_io).write()
    for layer in layers:
        if layer.weights:
            graph.notes.append(f"layer {layer.layer!r} is in float32: {layer.weights}")
    return _sentence(layers, dtypes)


def _half_inputs(graph: Graph, layers: list[LayerNodes], dtypes: dict[str, int]) -> set[str]:
    """Return the inputs that a layer reads which need not be float32."""
    read: set[str] = set()
    for layer in layers:
        if layer.may_be_half:
            read |= layer.reads
    return {name for name in graph.inputs if dtypes[name] == FLOAT and name in read}


def _sentence(layers: list[LayerNodes], dtypes: dict[str, int]) -> str:
    computing = [
        layer for layer in layers if any(computes_floats(node, dtypes) for node in layer.nodes)
    ]
    in_half = sum(layer.half for layer in computing)
    said = f"{in_half} of {len(computing)} layers compute in float16"
    kept = [f"{layer.layer} ({layer.unfit})" for layer in computing if layer.unfit]
    if not kept:
        return said
    more = f" and {len(kept) - LAYERS_NAMED} more" if len(kept) > LAYERS_NAMED else ""
    return f"{said}; in float32 stay {', '.join(kept[:LAYERS_NAMED])}{more}"


class _Writer:
    """Rewrites the nodes; `half` are the values that are float16 where they are made."""

    def __init__(
        self,
        graph: Graph,
        layers: list[LayerNodes],
        dtypes: dict[str, int],
        half: set[str],
        *,
        half_io: bool,
    ) -> None:
        self.graph, self.layers, self.dtypes, self.half = graph, layers, dtypes, half
        self.half_io = half_io
        self.names = {*dtypes, *graph.initializers}
        self.actual: dict[str, str] = {}
        """What a value that is an output of the graph is called inside of it."""
        self.casts: dict[tuple[str, int], str] = {}
        self.nodes: list[onnx.NodeProto] = []

    def write(self) -> None:
        self._write_weights()
        for layer in self.layers:
            for node in layer.nodes:
                self._write_node(node, layer)
        self.graph.nodes[:] = self.nodes
        for infos in (self.graph.values, self.graph.inputs):
            for name in infos.keys() & self.half:
                infos[name] = (HALF, infos[name][1])

    def _write_weights(self) -> None:
        """Store initializers as their readers want them."""
        wanted: dict[str, set[bool]] = defaultdict(set)
        for layer in self.layers:
            for node in layer.nodes:
                for name in reads(node):
                    wanted[name].add(layer.half)
        for name, array in list(self.graph.initializers.items()):
            if array.dtype == np.float32:
                self._write_weight(name, array, wanted[name])

    def _write_weight(self, name: str, array: np.ndarray, wanted: set[bool]) -> None:
        initializers = self.graph.initializers
        learned = name in self.graph.learned and array.ndim > 1
        stored_half = learned and array.nbytes >= INLINE_BELOW and fits_half(array)
        if wanted == {True}:
            initializers[name] = array.astype(np.float16)
            self.half.add(name)
        elif True in wanted or stored_half:
            other = self._fresh(name, "half")
            initializers[other] = array.astype(np.float16)
            self.casts[name, HALF] = other
            if stored_half:
                del initializers[name]
                self.nodes.append(_cast(other, name, FLOAT))

    def _write_node(self, node: onnx.NodeProto, layer: LayerNodes) -> None:
        wanted = HALF if layer.half else FLOAT
        read = [name for name in dict.fromkeys(reads(node)) if self.dtypes.get(name) == FLOAT]
        for name in read:
            rename(node, {name: self._as(name, wanted)})
        self.nodes.append(node)
        for at, name in enumerate(node.output):
            if name in self.graph.outputs and self.dtypes[name] == FLOAT:
                node.output[at] = self._write_output(name, layer)

    def _write_output(self, name: str, layer: LayerNodes) -> str:
        """Cast an output of the graph; return what its value is called inside."""
        dims = self.graph.outputs[name][1]
        if self.half_io and (name in self.half or not layer.makes_indices):
            self.graph.outputs[name] = (HALF, dims)
        wanted = self.graph.outputs[name][0]
        have = HALF if name in self.half else FLOAT
        if have == wanted:
            return name
        self.actual[name] = self._fresh(name, "half" if have == HALF else "float")
        self.nodes.append(_cast(self.actual[name], name, wanted))
        return self.actual[name]

    def _as(self, name: str, wanted: int) -> str:
        """Return a value in the type wanted, with a Cast where it is of the other one."""
        have = HALF if name in self.half else FLOAT
        actual = self.actual.get(name, name)
        if have == wanted:
            return actual
        if (name, wanted) not in self.casts:
            made = self._fresh(name, "half" if wanted == HALF else "float")
            self.casts[name, wanted] = made
            self.nodes.append(_cast(actual, made, wanted))
        return self.casts[name, wanted]

    def _fresh(self, name: str, what: str) -> str:
        made = f"{name}/{what}"
        while made in self.names:
            made += "_"
        self.names.add(made)
        return made


def _cast(value: str, made: str, dtype: int) -> onnx.NodeProto:
    return helper.make_node("Cast", [value], [made], to=dtype)
