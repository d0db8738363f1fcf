"""What an ONNX file of half precision holds in float16."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import onnx
from onnx import TensorProto

from converter.network.steps import Step
from converter.onnx.graph import makers
from converter.onnx.model import OnnxModel

from .choices import chooses


@dataclass(frozen=True)
class HalfModel:
    """The names of what is float16 in a file, and its graph."""

    values: frozenset[str]
    weights: frozenset[str]
    makers: Mapping[str, onnx.NodeProto]
    """The node that makes each value."""

    def holds_weights_of(self, layer: str) -> bool:
        """Tell whether a layer has weights in float16."""
        return any(name.startswith(f"{layer}.") for name in self.weights)

    def chooses(self, step: Step, others: Iterable[str]) -> bool:
        """Tell whether a layer chooses by its inputs: boxes, the highest, what is above 0.

        `others` are the values of other layers, at which the search ends.
        """
        return chooses(self.makers, step, others)


def half_model(model: OnnxModel) -> HalfModel | None:
    """Return what a file holds in float16; None if that is nothing."""
    graph = model.proto.graph
    values = {
        info.name
        for info in (*graph.input, *graph.value_info, *graph.output)
        if info.type.tensor_type.elem_type == TensorProto.FLOAT16
    }
    weights = {one.name for one in graph.initializer if one.data_type == TensorProto.FLOAT16}
    if not (values or weights):
        return None
    return HalfModel(frozenset(values), frozenset(weights), makers(graph.node))
