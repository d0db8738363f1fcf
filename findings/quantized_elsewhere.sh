#!/bin/sh
# Guess, written before the run: a Conv, MaxPool, Gemm and Softmax that ONNX Runtime quantized
# statically (QDQ, its defaults) is right in OpenVINO, OpenCV 5 and tract: QuantizeLinear and
# DequantizeLinear are plain operators.
# Seen: only OpenVINO 2026.4.1 is right, to a step of the quantization. OpenCV 5.0.0.93 stops at
# an assertion when it runs; tract 0.23.9 gives other probabilities without a word (without the
# Softmax it is right).
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
import onnxruntime
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, quantize_static

rng = np.random.default_rng(1701)
weights = {
    "w": rng.standard_normal((8, 3, 3, 3), np.float32),
    "b": rng.standard_normal(8, np.float32),
    "g": rng.standard_normal((128, 5), np.float32) / 10,
    "h": rng.standard_normal(5, np.float32),
}
nodes = [
    helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1]),
    helper.make_node("MaxPool", ["c"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
    helper.make_node("Flatten", ["p"], ["f"]),
    helper.make_node("Gemm", ["f", "g", "h"], ["scores"]),
    helper.make_node("Softmax", ["scores"], ["y"]),
]
graph = helper.make_graph(
    nodes,
    "net",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 8, 8))],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 5))],
    [numpy_helper.from_array(value, name) for name, value in weights.items()],
)
onnx.save(
    helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "net.onnx"
)
x = rng.standard_normal((1, 3, 8, 8), np.float32)


class Reader(CalibrationDataReader):
    rest = [{"x": x}]

    def get_next(self):
        return self.rest.pop() if self.rest else None


quantize_static("net.onnx", "quantized.onnx", Reader())
want = onnxruntime.InferenceSession("quantized.onnx").run(None, {"x": x})[0]


def openvino_():
    import openvino

    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    return np.array(openvino.Core().compile_model("quantized.onnx", "CPU", settings)([x])[0])


def opencv_():
    import cv2

    net = cv2.dnn.readNetFromONNX("quantized.onnx")
    net.setInput(x)
    return np.array(net.forward())


def tract_():
    import tract

    model = tract.onnx().load("quantized.onnx").into_model().into_runnable()
    return model.run([x])[0].to_numpy()


said = {}
for run in (openvino_, opencv_, tract_):
    try:
        said[run.__name__] = float(np.abs(run() - want).max() / np.abs(want).max())
    except Exception as error:
        said[run.__name__] = f"{type(error).__name__}: {error}".splitlines()[0][:100]
    print(run.__name__, said[run.__name__], flush=True)
assert said["openvino_"] < 0.05
for name in ("opencv_", "tract_"):
    assert isinstance(said[name], str) or said[name] > 0.05
PYTHON
echo "quantized_elsewhere: as seen"
