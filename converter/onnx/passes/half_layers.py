"""Which layers of a graph may compute in float16: a layer is one as a whole, or it is float32."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import onnx
from onnx import TensorProto

from converter.onnx.float16 import LARGEST, SMALLEST_NORMAL, fits_half, largest_finite
from converter.onnx.graph import Graph, reads

PRODUCTS = frozenset({"Conv", "ConvTranspose", "Gemm", "MatMul"})
"""What half precision is for: from here on values are float16. Sums are in float32 inside."""
HARMLESS = frozenset(
    {
        *("Abs", "Add", "Clip", "Concat", "DepthToSpace", "Dropout", "Elu", "Expand", "Flatten"),
        *("Gather", "GlobalMaxPool", "HardSigmoid", "Identity", "LeakyRelu", "Max", "MaxPool"),
        *("Min", "Mul", "Neg", "PRelu", "Pad", "Relu", "Reshape", "Sigmoid", "Slice", "Split"),
        *("SpaceToDepth", "Squeeze", "Sub", "Sum", "Tanh", "Tile", "Transpose", "Unsqueeze"),
        *("Shape", "Size", "Where"),
    }
)
"""What loses no more than a rounding in float16, and does not make large values of small ones."""
MAKING_INDICES = frozenset({"ArgMax", "Cast", "Compress", "NonMaxSuppression", "NonZero", "TopK"})
"""A layer with one of these may make indices or labels, which float16 holds up to 2048 alone."""


@dataclass
class LayerNodes:
    """The nodes of one layer: all in float16, or all in float32."""

    layer: str
    nodes: list[onnx.NodeProto]
    unfit: str = ""
    """The operator for which it must be float32, if any."""
    weights: str = ""
    """What of its weights float16 does not hold, if so."""
    half: bool = False

    @property
    def reads(self) -> set[str]:
        """What the layer reads of others."""
        return {name for node in self.nodes for name in node.input} - self.makes

    @property
    def makes(self) -> set[str]:
        """The values of its nodes."""
        return {name for node in self.nodes for name in node.output}

    @property
    def may_be_half(self) -> bool:
        """Tell whether nothing speaks against float16."""
        return not (self.unfit or self.weights)

    @property
    def makes_indices(self) -> bool:
        """Tell whether what it makes may be labels, places or numbers of boxes."""
        return any(node.op_type in MAKING_INDICES for node in self.nodes)


def layers_of(graph: Graph) -> Iterator[LayerNodes]:
    """Yield the nodes layer by layer; one that no layer made stands alone."""

    def key(node: onnx.NodeProto) -> tuple[bool, str]:
        made = next(name for name in node.output if name)
        layer = graph.layers.get(made)
        return layer is not None, made if layer is None else layer

    for (_, layer), nodes in groupby(graph.nodes, key):
        yield LayerNodes(layer, list(nodes))


def find_unfit(graph: Graph, layers: Sequence[LayerNodes], dtypes: Mapping[str, int]) -> None:
    """Find the layers that must be float32, and why."""
    for layer in layers:
        computing = [node for node in layer.nodes if computes_floats(node, dtypes)]
        layer.unfit = _unfit_operator(computing)
        if not layer.unfit:
            names = dict.fromkeys(name for node in computing for name in node.input)
            layer.weights = next(filter(None, (_unfit_weights(graph, name) for name in names)), "")


def decide(
    layers: Sequence[LayerNodes], dtypes: Mapping[str, int], half_inputs: set[str]
) -> set[str]:
    """Let layers with products compute in float16, and those that follow; return their values."""
    half = set(half_inputs)
    for layer in layers:
        heavy = any(node.op_type in PRODUCTS for node in layer.nodes)
        layer.half = layer.may_be_half and (heavy or not layer.reads.isdisjoint(half))
        if layer.half:
            half |= {name for name in layer.makes if dtypes.get(name) == TensorProto.FLOAT}
    return half


def computes_floats(node: onnx.NodeProto, dtypes: Mapping[str, int]) -> bool:
    """Tell whether a node reads or makes float32."""
    return any(dtypes.get(name) == TensorProto.FLOAT for name in (*reads(node), *node.output))


def _unfit_operator(nodes: Sequence[onnx.NodeProto]) -> str:
    """Return the operator that float16 does harm to, "" if there is none."""
    unfit = [node.op_type for node in nodes if not _is_harmless(node)]
    telling = [op_type for op_type in unfit if op_type != "Cast"]  # of labels: it says little
    return next(iter(telling or unfit), "")


def _is_harmless(node: onnx.NodeProto) -> bool:
    square = node.op_type == "Mul" and node.input[0] == node.input[1]
    return node.op_type in PRODUCTS | HARMLESS and not square


def _unfit_weights(graph: Graph, name: str) -> str:
    """Say why float16 does not hold an initializer, "" if it does."""
    array = graph.initializers.get(name)
    if array is None or array.dtype != np.float32 or fits_half(array):
        return ""
    return (
        f"{name!r} reaches {largest_finite(array):.3g}, "
        f"float16 holds {SMALLEST_NORMAL:.1g} to {LARGEST:.0f}"
    )
