#!/bin/sh
# Guess, written before the run: Softmax of a row that is all -inf is NaN everywhere (0 / 0).
# Seen: OpenCV 5.0.0.93 gives 0 for the whole row, a mask's usual intention; ONNX Runtime
# 1.32.0, OpenVINO 2026.4.1 and tract 0.23.9 give NaN.
set -eu
. "$(dirname "$0")/shared/environment.sh"
install \
    onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 opencv-python-headless==5.0.0.93 tract==0.23.9
env/bin/python - <<'PYTHON'
import numpy as np
from engines import onnxruntime_, opencv_, openvino_, tract_
from graphs import save
from onnx import helper

x = np.array([[-np.inf] * 3, [0, 1, -np.inf]], np.float32)
save([helper.make_node("Softmax", ["x"], ["y"], axis=1)], x, x.shape)
for run in (onnxruntime_, openvino_, opencv_, tract_):
    got = run(x)
    print(run.__name__, got.tolist())
    assert (got[0] == 0).all() if run is opencv_ else np.isnan(got[0]).all()
    assert abs(got[1].sum() - 1) < 1e-5
PYTHON
echo "softmax_of_nothing: as seen"
