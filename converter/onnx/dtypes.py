"""The element types and sizes of a graph's values."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, shape_inference

from .file import INLINE_BELOW, model_of
from .graph import Graph


def dtypes_of(graph: Graph) -> dict[str, int]:
    """Return the element type of every value, by ONNX's own inference."""
    inferred = _inferred(graph)
    dtypes = {info.name: info.type.tensor_type.elem_type for info in _infos(inferred)}
    dtypes |= {one.name: one.data_type for one in inferred.initializer}
    lost = [name for node in graph.nodes for name in node.output if name and name not in dtypes]
    assert not lost, f"ONNX does not tell the type of {lost[0]}"
    return dtypes


def sizes_of(graph: Graph) -> dict[str, tuple[int, ...]]:
    """Return the sizes of those values whose number of axes ONNX's inference tells, 0 if free."""
    shapes = {info.name: info.type.tensor_type for info in _infos(_inferred(graph))}
    return {
        name: tuple(dim.dim_value for dim in one.shape.dim)
        for name, one in shapes.items()
        if one.HasField("shape")
    }


def _infos(inferred: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    return [*inferred.input, *inferred.output, *inferred.value_info]


def _inferred(graph: Graph) -> onnx.GraphProto:
    """Return a graph with what ONNX infers of its values."""
    model = model_of(graph, "")
    for name, array in graph.initializers.items():
        dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
        if array.nbytes < INLINE_BELOW:
            raw = np.ascontiguousarray(array).tobytes()
            model.graph.initializer.add(name=name, data_type=dtype, dims=array.shape, raw_data=raw)
        else:
            model.graph.input.append(helper.make_tensor_value_info(name, dtype, array.shape))
    return shape_inference.infer_shapes(model).graph
