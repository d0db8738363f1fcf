#!/bin/sh
# Guess, written before the run: Cast from float to uint8 wraps 300 to 44 and -1 to 255
# everywhere on one machine (the standard leaves it open).
# Seen: ONNX Runtime 1.32.0 and OpenVINO 2026.4.1 wrap; OpenCV 5.0.0.93 and tract 0.23.9 clamp
# to 255 and 0. A file that clips before it casts is the same in all.
set -eu
. "$(dirname "$0")/shared/environment.sh"
install \
    onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 opencv-python-headless==5.0.0.93 tract==0.23.9
env/bin/python - <<'PYTHON'
import numpy as np
from engines import onnxruntime_, opencv_, openvino_, tract_
from graphs import save
from onnx import TensorProto, helper

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
