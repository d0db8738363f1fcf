#!/bin/sh
# Guess, written before the run: Resize with antialias=1 (opset 18) is honoured or refused.
# Seen: OpenVINO 2026.4.1 and OpenCV 5.0.0.93 load it and resize without antialiasing, without a
# word: 16 x 16 to 4 x 4 is what ONNX Runtime 1.32.0 gives for antialias=0.
set -eu
. "$(dirname "$0")/shared/environment.sh"
install \
    onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 opencv-python-headless==5.0.0.93
env/bin/python - <<'PYTHON'
import numpy as np
from engines import onnxruntime_, opencv_, openvino_
from graphs import save
from onnx import helper

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
