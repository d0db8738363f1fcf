#!/bin/sh
# Guess, written before the run: Resize's exclude_outside=1 of mode cubic is honoured or
# refused.
# Seen: OpenVINO 2026.4.1 resizes as with exclude_outside=0, without a word: the edge differs by
# 3 percent. OpenCV 5.0.0.93 and tract 0.23.9 honour it.
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


x = np.random.default_rng(1701).standard_normal((1, 1, 8, 8), np.float32)
scales = [("scales", np.array([1, 1, 2, 2], np.float32))]
for outside in (0, 1):
    node = helper.make_node(
        "Resize", ["x", "", "scales"], ["y"], mode="cubic", exclude_outside=outside
    )
    save([node], x, (1, 1, 16, 16), scales, 17, f"net{outside}.onnx")
plain, excluded = (onnxruntime_(x, f"net{one}.onnx") for one in (0, 1))
assert np.abs(plain - excluded).max() > 1e-2
for run in (openvino_, opencv_, tract_):
    got = run(x, "net1.onnx")
    print(run.__name__, np.abs(got - excluded).max())
    assert np.abs(got - (plain if run is openvino_ else excluded)).max() < 1e-4
PYTHON
echo "cubic_exclude_outside: as seen"
