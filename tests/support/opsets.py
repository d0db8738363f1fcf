"""The opsets at which every layer's ONNX form is tested: the oldest, the default and the newest."""

from __future__ import annotations

from functools import cache

import onnx
import onnxruntime

from converter.onnx.options import DEFAULT_OPSET, OLDEST_OPSET


@cache
def newest_opset() -> int:
    """Return the newest opset that onnx and onnxruntime both know."""
    for opset in range(onnx.defs.onnx_opset_version(), OLDEST_OPSET, -1):
        value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
        top = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
        graph = onnx.helper.make_graph(
            [onnx.helper.make_node("Relu", ["x"], ["y"])], "relu", [value], [top]
        )
        opsets = [onnx.helper.make_opsetid("", opset)]
        model = onnx.helper.make_model(
            graph,
            opset_imports=opsets,
            ir_version=onnx.helper.find_min_ir_version_for(opsets),
        )
        try:
            onnxruntime.InferenceSession(
                model.SerializeToString(), providers=["CPUExecutionProvider"]
            )
        except (onnxruntime.capi.onnxruntime_pybind11_state.Fail, ValueError):
            continue
        return opset
    raise AssertionError("onnxruntime knows no opset")


OPSETS = sorted({OLDEST_OPSET, DEFAULT_OPSET, newest_opset()})
