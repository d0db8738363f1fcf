#!/bin/sh
# Guess, written before the run: LogSoftmax of (100, 0, -100) is (0, -100, -200) everywhere:
# engines subtract the largest and keep the logarithm apart.
# Seen: OpenCV 5.0.0.93 and tract 0.23.9 take the logarithm of the softmax, which is 0 there:
# -inf. ONNX Runtime 1.32.0 and OpenVINO 2026.4.1 are right.
set -eu
. "$(dirname "$0")/shared/environment.sh"
install \
    onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 opencv-python-headless==5.0.0.93 tract==0.23.9
env/bin/python - <<'PYTHON'
import numpy as np
from engines import onnxruntime_, opencv_, openvino_, tract_
from graphs import save
from onnx import helper

x = np.array([[100, 0, -100]], np.float32)
save([helper.make_node("LogSoftmax", ["x"], ["y"], axis=1)], x, x.shape)
for run in (onnxruntime_, openvino_, opencv_, tract_):
    got = run(x).ravel().tolist()
    print(run.__name__, got)
    if run in (onnxruntime_, openvino_):
        assert got == [0, -100, -200]
    else:
        assert got[2] == -np.inf
PYTHON
echo "log_softmax_underflows: as seen"
