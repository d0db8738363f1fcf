#!/bin/sh
# Guess, written before the run: Relu and Max with 0 keep a NaN in every engine.
# Seen: ONNX Runtime 1.32.0 keeps it in both; OpenVINO 2026.4.1 and tract 0.23.9 give 0: a
# broken network looks healthy there.
set -eu
. "$(dirname "$0")/shared/environment.sh"
install onnx==1.23.2 onnxruntime==1.32.0 openvino==2026.4.1 tract==0.23.9
env/bin/python - <<'PYTHON'
import numpy as np
from engines import onnxruntime_, openvino_, tract_
from graphs import save
from onnx import helper

x = np.array([[np.nan, -2, 1, 3]], np.float32).reshape(1, 1, 2, 2)
zero = ("zero", np.zeros((), np.float32))
forms = {
    "Relu": (helper.make_node("Relu", ["x"], ["y"]), x.shape, []),
    "Max": (helper.make_node("Max", ["x", "zero"], ["y"]), x.shape, [zero]),
}
for name, (node, shape, weights) in forms.items():
    save([node], x, shape, weights)
    first = {run.__name__: run(x).ravel()[0] for run in (onnxruntime_, openvino_, tract_)}
    print(name, first)
    assert np.isnan(first["onnxruntime_"])
    assert first["openvino_"] == first["tract_"] == 0
PYTHON
echo "nan_becomes_zero: as seen"
