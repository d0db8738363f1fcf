#!/bin/sh
# Guess, written before the run: Softmax of a row that is all -inf is NaN everywhere (0 / 0).
# Seen: OpenCV 5.0.0.93 gives 0 for the whole row, a mask's usual intention; ONNX Runtime
# 1.32.0, OpenVINO 2026.4.1 and tract 0.23.9 give NaN.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q \
    onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 opencv-python-headless==5.0.0.93 tract==0.23.9
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

def opencv_(x, path="net.onnx"):
    import cv2

    net = cv2.dnn.readNetFromONNX(path)
    net.setInput(x)
    return np.array(net.forward())

def tract_(x, path="net.onnx"):
    import tract

    return tract.onnx().load(path).into_model().into_runnable().run([x])[0].to_numpy()


x = np.array([[-np.inf] * 3, [0, 1, -np.inf]], np.float32)
save([helper.make_node("Softmax", ["x"], ["y"], axis=1)], x, x.shape)
for run in (onnxruntime_, openvino_, opencv_, tract_):
    got = run(x)
    print(run.__name__, got.tolist())
    assert (got[0] == 0).all() if run is opencv_ else np.isnan(got[0]).all()
    assert abs(got[1].sum() - 1) < 1e-5
PYTHON
echo "softmax_of_nothing: as seen"
