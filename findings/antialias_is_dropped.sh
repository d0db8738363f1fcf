#!/bin/sh
# Guess, written before the run: Resize with antialias=1 (opset 18) is honoured or refused.
# Seen: OpenVINO 2026.4.1 and OpenCV 5.0.0.93 load it and resize without antialiasing, without a
# word: 16 x 16 to 4 x 4 is what ONNX Runtime 1.32.0 gives for antialias=0.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q \
    onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 opencv-python-headless==5.0.0.93
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


x = np.random.default_rng(1701).standard_normal((1, 1, 16, 16), np.float32)
sizes = [("scales", np.array([1, 1, 0.25, 0.25], np.float32))]
for smooth in (0, 1):
    node = helper.make_node("Resize", ["x", "", "scales"], ["y"], mode="linear", antialias=smooth)
    save([node], x, (1, 1, 4, 4), sizes, 18, f"net{smooth}.onnx")
plain, smooth = (onnxruntime_(x, f"net{one}.onnx") for one in (0, 1))
assert np.abs(plain - smooth).max() > 0.5
for run in (openvino_, opencv_):
    got = run(x, "net1.onnx")
    off = [float(np.abs(got - one).max()) for one in (smooth, plain)]
    print(run.__name__, "off by", off[0], "from plain", off[1])
    assert np.abs(got - plain).max() < 1e-5
PYTHON
echo "antialias_is_dropped: as seen"
