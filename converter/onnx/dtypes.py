"""The element types of a graph's values."""

from __future__ import annotations

import numpy as np
from onnx import helper, shape_inference

from .file import INLINE_BELOW, model_of
from .graph import Graph


def dtypes_of(graph: Graph) -> dict[str, int]:
    """Return the element type of every value, by ONNX's own inference."""
    model = model_of(graph, "")
    for name, array in graph.initializers.items():
        dtype = helper.np_dtype_to_tensor_dtype(array.dtype)
        if array.nbytes < INLINE_BELOW:
            raw = np.ascontiguousarray(array).tobytes()
            model.graph.initializer.add(name=name, data_type=dtype, dims=array.shape, raw_data=raw)
        else:
            model.graph.input.append(helper.make_tensor_value_info(name, dtype, array.shape))
    inferred = shape_inference.infer_shapes(model).graph
    infos = [*inferred.input, *inferred.output, *inferred.value_info]
    dtypes = {info.name: info.type.tensor_type.elem_type for info in infos}
    dtypes |= {one.name: one.data_type for one in inferred.initializer}
    lost = [name for node in graph.nodes for name in node.output if name and name not in dtypes]
    assert not lost, f"ONNX does not tell the type of {lost[0]}"
    return dtypes
