"""What an ONNX file of half precision holds in float16."""

from __future__ import annotations

from dataclasses import dataclass

from onnx import TensorProto

from converter.onnx.model import OnnxModel


@dataclass(frozen=True)
class HalfModel:
    """The names of what is float16 in a file."""

    values: frozenset[str]
    weights: frozenset[str]

    def holds_weights_of(self, layer: str) -> bool:
        """Tell whether a layer has weights in float16."""
        return any(name.startswith(f"{layer}.") for name in self.weights)


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
    return HalfModel(frozenset(values), frozenset(weights))
