#!/bin/sh
# Guess, written before the run: Resize's exclude_outside=1 of mode cubic is honoured or
# refused.
# Seen: OpenVINO 2026.4.1 resizes as with exclude_outside=0, without a word: the edge differs by
# 3 percent. OpenCV 5.0.0.93 and tract 0.23.9 honour it.
set -eu
. "$(dirname "$0")/shared/environment.sh"
install \
    onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 opencv-python-headless==5.0.0.93 tract==0.23.9
env/bin/python - <<'PYTHON'
import numpy as np
from engines import onnxruntime_, opencv_, openvino_, tract_
from graphs import save
from onnx import helper

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
