#!/bin/sh
# Guess, written before the run: Celu with alpha 2 is max(0, x) + min(0, alpha (exp(x / alpha) -
# 1)) everywhere.
# Seen: tract 0.23.9 leaves the factor alpha out: half of the right value for every negative x.
# ONNX Runtime 1.32.0, OpenVINO 2026.4.1 and OpenCV 5.0.0.93 are right.
set -eu
. "$(dirname "$0")/shared/environment.sh"
install \
    onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 opencv-python-headless==5.0.0.93 tract==0.23.9
env/bin/python - <<'PYTHON'
import numpy as np
from engines import onnxruntime_, opencv_, openvino_, tract_
from graphs import save
from onnx import helper

x = np.array([[-4, -1, -0.5, 0, 2]], np.float32)
save([helper.make_node("Celu", ["x"], ["y"], alpha=2.0)], x, x.shape)
want = np.maximum(x, 0) + np.minimum(0, 2 * np.expm1(x / 2))
for run in (onnxruntime_, openvino_, opencv_, tract_):
    got = run(x)
    print(run.__name__, got)
    right = np.where(x < 0, want / 2, want) if run is tract_ else want
    assert np.abs(got - right).max() < 1e-5
PYTHON
echo "celu_of_tract: as seen"
