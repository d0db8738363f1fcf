"""Half precision: weights and values in float16, in float32 what float16 cannot hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, shape_inference

from converter.onnx.file import INLINE_BELOW, model_of
from converter.onnx.graph import Graph

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16
LARGEST = float(np.finfo(np.float16).max)
SMALLEST = float(np.finfo(np.float16).smallest_normal)

HEAVY = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""What half precision is for: from here on values are float16. Sums are in float32 inside."""
FIT = frozenset(
    {
        *("Abs", "Add", "Clip", "Concat", "DepthToSpace", "Dropout", "Elu", "Expand", "Flatten"),
        *("Gather", "GlobalMaxPool", "HardSigmoid", "Identity", "LeakyRelu", "Max", "MaxPool"),
        *("Min", "Mul", "Neg", "PRelu", "Pad", "Relu", "Reshape", "Sigmoid", "Slice", "Split"),
        *("SpaceToDepth", "Squeeze", "Sub", "Sum", "Tanh", "Tile", "Transpose", "Unsqueeze"),
        *("Shape", "Size", "Where"),
    }
)
"""What loses no more than a rounding in float16, and does not make large values of small ones."""
CHOOSING = frozenset({"ArgMax", "Cast", "Compress", "NonMaxSuppression", "NonZero", "TopK"})
"""A layer with one of these may make indices or labels, which float16 holds up to 2048 alone."""
LISTED = 6
"""How many layers a note names."""


@dataclass
class _Group:
    """The nodes of one layer: all in float16, or all in float32."""

    layer: str
    nodes: list[onnx.NodeProto]
    why: str = ""
    """The operator, if any, for which it must be float32."""
    half: bool = False


def fits_half(array: np.ndarray) -> bool:
    """Tell whether float16 holds an array: nothing overflows, and not all of it is subnormal."""
    sizes = np.abs(array[np.isfinite(array)])
    top = float(sizes.max(initial=0))
    return top == 0 or SMALLEST <= top <= LARGEST


def to_half(graph: Graph, *, ends: bool = False) -> list[str]:
    """Turn a graph of float32 into one of float16; return notes of what stays in float32.

    A layer computes in float16 from the first product with weights on, and its weights are float16,
    unless one of its operators is not in `HEAVY` or `FIT` (sums over many values, powers, softmax,
    boxes, loops) or float16 cannot hold its weights: then the whole layer is float32, with casts
    around it. Large weights of such a layer are kept as float16 all the same, if they fit. With
    `ends` the inputs and outputs are float16 too, but for labels and indices.
    """
    return _Rewriting(graph, ends=ends).write()


class _Rewriting:
    def __init__(self, graph: Graph, *, ends: bool) -> None:
        self.graph, self.ends = graph, ends
        self.kinds = _kinds(graph)
        self.names = {*self.kinds, *graph.initializers}
        self.groups = list(_groups(graph))
        self.computing = [group for group in self.groups if any(map(self._is_float, group.nodes))]
        self.half: set[str] = set()
        """The values that are float16 where they are made."""
        self.actual: dict[str, str] = {}
        """What a value that is an output of the graph is called inside of it."""
        self.casts: dict[tuple[str, int], str] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.notes: list[str] = []

    def write(self) -> list[str]:
        self._must()
        if self.ends:
            self.half |= self._half_inputs()
        self._decide()
        self._weights()
        for group in self.groups:
            for node in group.nodes:
                self._write_node(node, group)
        self.graph.nodes[:] = self.nodes
        for infos in (self.graph.values, self.graph.inputs):
            for name in infos.keys() & self.half:
                infos[name] = (HALF, infos[name][1])
        self._note()
        return self.notes

    def _must(self) -> None:
        """Find the layers that must be float32."""
        for group in self.groups:
            computing = [node for node in group.nodes if self._is_float(node)]
            unfit = [node.op_type for node in computing if not _fits(node)]
            telling = [kind for kind in unfit if kind != "Cast"]  # of labels: it says little
            group.why = [*telling, *unfit, ""][0]
            for name in dict.fromkeys(name for node in computing for name in node.input):
                if not group.why and (size := self._unfit(name)):
                    group.why = "weights"
                    self.notes.append(
                        f"layer {group.layer!r} is in float32: {name!r} reaches {size:.3g}, "
                        f"float16 holds {SMALLEST:.1g} to {LARGEST:.0f}"
                    )

    def _is_float(self, node: onnx.NodeProto) -> bool:
        values = [*_reads(node), *node.output]
        return any(self.kinds.get(name) == FLOAT for name in values)

    def _unfit(self, name: str) -> float:
        """Return the largest value of an initializer that float16 does not hold, 0 if it does."""
        array = self.graph.initializers.get(name)
        if array is None or array.dtype != np.float32:
            return 0.0
        return 0.0 if fits_half(array) else float(np.abs(array[np.isfinite(array)]).max())

    def _decide(self) -> None:
        """Let layers compute in float16: those with products, and those that follow float16."""
        for group in self.groups:
            made = {name for node in group.nodes for name in node.output}
            inputs = {name for node in group.nodes for name in node.input} - made
            heavy = any(node.op_type in HEAVY for node in group.nodes)
            group.half = not group.why and (heavy or not inputs.isdisjoint(self.half))
            if group.half:
                self.half |= {name for name in made if self.kinds.get(name) == FLOAT}

    def _half_inputs(self) -> set[str]:
        """Return the inputs that a layer reads which need not be float32."""
        read = {
            name
            for group in self.groups
            if not group.why
            for node in group.nodes
            for name in node.input
        }
        return {name for name in self.graph.inputs if self.kinds[name] == FLOAT and name in read}

    def _weights(self) -> None:
        """Store initializers as their readers want them."""
        readers: dict[str, set[bool]] = defaultdict(set)
        for group in self.groups:
            for node in group.nodes:
                for name in _reads(node):
                    readers[name].add(group.half)
        initializers = self.graph.initializers
        for name in [name for name, array in initializers.items() if array.dtype == np.float32]:
            array, wanted = initializers[name], readers[name]
            large = name in self.graph.learned and array.ndim > 1 and array.nbytes >= INLINE_BELOW
            if wanted == {True}:
                initializers[name] = array.astype(np.float16)
                self.half.add(name)
            elif True in wanted or (large and fits_half(array)):
                other = self._fresh(name, "half")
                initializers[other] = array.astype(np.float16)
                self.casts[name, HALF] = other
                if large and fits_half(array):
                    del initializers[name]
                    self.nodes.append(_cast(other, name, FLOAT))

    def _write_node(self, node: onnx.NodeProto, group: _Group) -> None:
        wanted = HALF if group.half else FLOAT
        for name in dict.fromkeys(_reads(node)):
            if self.kinds.get(name) == FLOAT:
                _rename(node, name, self._as(name, wanted))
        self.nodes.append(node)
        for at, name in enumerate(node.output):
            if name in self.graph.outputs and self.kinds[name] == FLOAT:
                node.output[at] = self._write_output(name, group)

    def _write_output(self, name: str, group: _Group) -> str:
        """Cast an output of the graph; return what its value is called inside."""
        dims = self.graph.outputs[name][1]
        keeps = any(node.op_type in CHOOSING for node in group.nodes)
        if self.ends and (name in self.half or not keeps):
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
            made += "@"
        self.names.add(made)
        return made

    def _note(self) -> None:
        kept = [
            f"{group.layer} ({group.why})"
            for group in self.computing
            if group.why and group.why != "weights"
        ]
        halves = sum(group.half for group in self.computing)
        self.notes.insert(0, f"{halves} of {len(self.computing)} layers compute in float16")
        if kept:
            more = f" and {len(kept) - LISTED} more" if len(kept) > LISTED else ""
            self.notes.insert(1, f"in float32 stay {', '.join(kept[:LISTED])}{more}")


def _kinds(graph: Graph) -> dict[str, int]:
    """Return the element type of every value, by ONNX's own inference."""
    model = model_of(graph, "")
    for name, array in graph.initializers.items():
        kind = helper.np_dtype_to_tensor_dtype(array.dtype)
        if array.nbytes < INLINE_BELOW:
            raw = np.ascontiguousarray(array).tobytes()
            model.graph.initializer.add(name=name, data_type=kind, dims=array.shape, raw_data=raw)
        else:
            model.graph.input.append(helper.make_tensor_value_info(name, kind, array.shape))
    inferred = shape_inference.infer_shapes(model).graph
    infos = [*inferred.input, *inferred.output, *inferred.value_info]
    kinds = {info.name: info.type.tensor_type.elem_type for info in infos}
    kinds |= {one.name: one.data_type for one in inferred.initializer}
    lost = [name for node in graph.nodes for name in node.output if name and name not in kinds]
    assert not lost, f"ONNX does not tell the type of {lost[0]}"
    return kinds


def _groups(graph: Graph) -> Iterator[_Group]:
    """Yield the nodes layer by layer; one that no layer made stands alone."""

    def key(node: onnx.NodeProto) -> tuple[bool, str]:
        made = next(name for name in node.output if name)
        layer = graph.layers.get(made)
        return layer is not None, made if layer is None else layer

    for (_, layer), nodes in groupby(graph.nodes, key):
        yield _Group(layer, list(nodes))


def _fits(node: onnx.NodeProto) -> bool:
    square = node.op_type == "Mul" and node.input[0] == node.input[1]
    return node.op_type in HEAVY | FIT and not square


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    return (one.g for one in node.attribute if one.type == AttributeProto.GRAPH)


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """Yield what a node reads, in its subgraphs too."""
    yield from filter(None, node.input)
    for graph in _subgraphs(node):
        for inner in graph.node:
            yield from _reads(inner)


def _rename(node: onnx.NodeProto, old: str, new: str) -> None:
    for at, name in enumerate(node.input):
        if name == old:
            node.input[at] = new
    for graph in _subgraphs(node):
        for inner in graph.node:
            _rename(inner, old, new)


def _cast(value: str, made: str, kind: int) -> Any:
    return helper.make_node("Cast", [value], [made], to=kind)
