#!/bin/sh
# Guess, written before the run: a Conv, MaxPool, Gemm and Softmax that ONNX Runtime quantized
# statically (QDQ, its defaults) is right in OpenVINO, OpenCV 5 and tract: QuantizeLinear and
# DequantizeLinear are plain operators.
# Seen: only OpenVINO 2026.4.1 is right, to a step of the quantization. OpenCV 5.0.0.93 stops at
# an assertion when it runs; tract 0.23.9 gives other probabilities without a word (without the
# Softmax it is right).
set -eu
. "$(dirname "$0")/shared/environment.sh"
install \
    onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 opencv-python-headless==5.0.0.93 tract==0.23.9
env/bin/python - <<'PYTHON'
import numpy as np
from engines import onnxruntime_, opencv_, openvino_, tract_
from graphs import save
from onnx import helper
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
x = rng.standard_normal((1, 3, 8, 8), np.float32)
save(nodes, x, (1, 5), weights.items())


class Reader(CalibrationDataReader):
    rest = [{"x": x}]

    def get_next(self):
        return self.rest.pop() if self.rest else None


quantize_static("net.onnx", "quantized.onnx", Reader())
want = onnxruntime_(x, "quantized.onnx")

said = {}
for run in (openvino_, opencv_, tract_):
    try:
        got = run(x, "quantized.onnx")
        said[run.__name__] = float(np.abs(got - want).max() / np.abs(want).max())
    except Exception as error:
        said[run.__name__] = f"{type(error).__name__}: {error}".splitlines()[0][:100]
    print(run.__name__, said[run.__name__], flush=True)
assert said["openvino_"] < 0.05
for name in ("opencv_", "tract_"):
    assert isinstance(said[name], str) or said[name] > 0.05
PYTHON
echo "quantized_elsewhere: as seen"
