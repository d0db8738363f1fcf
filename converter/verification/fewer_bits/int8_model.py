"""What an ONNX file of eight bits rounds, and how."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from converter.onnx.graph import makers
from converter.onnx.model import OnnxModel
from converter.onnx.quantization.numbers import Rounding
from converter.onnx.quantization.units import SHAPING

EIGHT_BITS = (TensorProto.INT8, TensorProto.UINT8)


@dataclass(frozen=True)
class Int8Model:
    """The values that a file rounds to eight bits, and the names of its weights in them."""

    roundings: dict[str, Rounding]
    weights: frozenset[str]

    def holds_weights_of(self, layer: str) -> bool:
        """Tell whether a layer has weights in eight bits: `layer.weight`, `layer/Conv.weight`."""
        own = re.compile(re.escape(layer) + r"(/[A-Z]\w*)?\.")
        return any(own.match(name) for name in self.weights)


def int8_model(model: OnnxModel) -> Int8Model | None:
    """Return what a file has in eight bits; None if that is nothing."""
    graph = model.proto.graph
    weights = {one.name: one for one in graph.initializer}
    made_by = makers(graph.node)
    inputs = {one.name for one in graph.input}
    roundings: dict[str, Rounding] = {}
    held: set[str] = set()
    for node in graph.node:
        if node.op_type != "DequantizeLinear":
            continue
        source, (made,) = node.input[0], node.output
        if source in weights:
            if weights[source].data_type in EIGHT_BITS:
                held.add(made)
        elif (before := made_by.get(source)) is not None:
            rounding = _rounding(node, weights)
            if rounding is not None and rounding == _rounding(before, weights):
                name = before.input[0]
                roundings[name if name in inputs else made] = rounding
                bottom = _unshaped(name, made_by)
                if bottom != name:  # a layer that shapes its bottom first rounds it all the same
                    roundings.setdefault(bottom, rounding)
    return Int8Model(roundings, frozenset(held)) if roundings or held else None


def _unshaped(name: str, made_by: Mapping[str, onnx.NodeProto]) -> str:
    """Return the value that one is the same numbers of, in another shape; itself if of none."""
    while (node := made_by.get(name)) is not None and node.op_type in SHAPING:
        name = node.input[0]
    return name


def _rounding(node: onnx.NodeProto, weights: dict[str, onnx.TensorProto]) -> Rounding | None:
    """Return how a node of a pair rounds a whole tensor; None where no constants say it."""
    if len(node.input) < 3 or any(name not in weights for name in node.input[1:3]):
        return None
    scale, zero = (numpy_helper.to_array(weights[name]) for name in node.input[1:3])
    if scale.size != 1 or zero.dtype not in (np.uint8, np.int8):
        return None
    kind = np.uint8 if zero.dtype == np.uint8 else np.int8
    return Rounding(np.float32(scale.reshape(())), kind(zero.reshape(())))
