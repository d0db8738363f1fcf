#!/bin/sh
# Guess, written before the run: Relu and Max with 0 keep a NaN in every engine.
# Seen: ONNX Runtime 1.32.0 keeps it in both; OpenVINO 2026.4.1 and tract 0.23.9 give 0: a
# broken network looks healthy there.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 tract==0.23.9
cd "$folder"
env/bin/python - <<'PYTHON'
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def save(nodes, x, shape, weights=(), opset=17, name="net.onnx"):
    """Write a graph from x to y."""
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, key) for key, value in weights],
    )
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8 if opset < 19 else 10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, name)

def onnxruntime_(x, path="net.onnx"):
    import onnxruntime

    return onnxruntime.InferenceSession(path).run(None, {"x": x})[0]

def openvino_(x, path="net.onnx"):
    import openvino

    model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.array(model([x])[0])

def tract_(x, path="net.onnx"):
    import tract

    return tract.onnx().load(path).into_model().into_runnable().run([x])[0].to_numpy()


x = np.array([[np.nan, -2, 1, 3]], np.float32).reshape(1, 1, 2, 2)
zero = ("zero", np.zeros((), np.float32))
forms = {
    "Relu": (helper.make_node("Relu", ["x"], ["y"]), x.shape, []),
    "Max": (helper.make_node("Max", ["x", "zero"], ["y"]), x.shape, [zero]),
}
for name, (node, shape, weights) in forms.items():
    save([node], x, shape, weights)
    first = {run.__name__: run(x).ravel()[0] for run in (onnxruntime_, openvino_, tract_)}
    print(name, first)
    assert np.isnan(first["onnxruntime_"])
    assert first["openvino_"] == first["tract_"] == 0
PYTHON
echo "nan_becomes_zero: as seen"
