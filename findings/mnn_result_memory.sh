#!/bin/sh
# Guess, written before the run: an array that MNN's Var.read() gave stays as it is when the
# network runs again.
# Seen: in MNN 3.6.1 it is the engine's own memory: the next forward changes it. np.array(...)
# of it stays. ONNX Runtime, OpenVINO, OpenCV and tract give arrays that stay.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q numpy==2.4.6 onnx==1.23.2 MNN==3.6.1
cd "$folder"
env/bin/python - <<'PYTHON'
import subprocess
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

rng = np.random.default_rng(1701)
w = rng.standard_normal((4, 3, 3, 3), np.float32)
graph = helper.make_graph(
    [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
    "net",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 8, 10))],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 4, 8, 10))],
    [numpy_helper.from_array(w, "w")],
)
onnx.save(
    helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "net.onnx"
)

import MNN

convert = "import sys, MNN, _tools; _tools.mnnconvert(sys.argv)"
words = ["-f", "ONNX", "--modelFile", "net.onnx", "--MNNModel", "net.mnn", "--bizCode", "x"]
subprocess.run([sys.executable, "-c", convert, *words], check=True, capture_output=True)
net = MNN.nn.load_module_from_file("net.mnn", ["x"], ["y"])


def run(x):
    given = MNN.expr.placeholder(list(x.shape), MNN.expr.NCHW, MNN.expr.float)
    given.write(x)
    top = net.forward([given])
    return MNN.expr.convert(top[0] if isinstance(top, list) else top, MNN.expr.NCHW).read()


x = rng.standard_normal((1, 3, 8, 10), np.float32)
first = run(x)
kept = np.array(first)
run(1 - x)
print("changed by", np.abs(first - kept).max())
assert not np.array_equal(first, kept)
PYTHON
echo "mnn_result_memory: as seen"
