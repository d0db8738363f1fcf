#!/bin/sh
# Guess, written before the run: Cast from float to uint8 wraps 300 to 44 and -1 to 255
# everywhere on one machine (the standard leaves it open).
# Seen: ONNX Runtime 1.32.0 and OpenVINO 2026.4.1 wrap; OpenCV 5.0.0.93 and tract 0.23.9 clamp
# to 255 and 0. A file that clips before it casts is the same in all.
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


x = np.array([[300, -1, 2.7, 255.9]], np.float32).reshape(1, 1, 2, 2)
cast = helper.make_node("Cast", ["x"], ["bytes"], to=TensorProto.UINT8)
save([cast, helper.make_node("Cast", ["bytes"], ["y"], to=TensorProto.FLOAT)], x, x.shape)
for run in (onnxruntime_, openvino_, opencv_, tract_):
    got = run(x).ravel().tolist()
    print(run.__name__, got)
    wraps = run in (onnxruntime_, openvino_)
    assert got == ([44, 255, 2, 255] if wraps else [255, 0, 2, 255])
PYTHON
echo "cast_to_bytes: as seen"
