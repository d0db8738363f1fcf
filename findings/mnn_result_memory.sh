#!/bin/sh
# Guess, written before the run: an array that MNN's Var.read() gave stays as it is when the
# network runs again.
# Seen: in MNN 3.6.1 it is the engine's own memory: the next forward changes it. np.array(...)
# of it stays. ONNX Runtime, OpenVINO, OpenCV and tract give arrays that stay.
set -eu
. "$(dirname "$0")/shared/environment.sh"
install numpy==2.4.6 onnx==1.23.2 MNN==3.6.1
env/bin/python - <<'PYTHON'
import subprocess
import sys

import MNN
import numpy as np
from graphs import save_convolution

x = save_convolution()
convert = "import sys, MNN, _tools; _tools.mnnconvert(sys.argv)"
words = ["-f", "ONNX", "--modelFile", "net.onnx", "--MNNModel", "net.mnn", "--bizCode", "x"]
subprocess.run([sys.executable, "-c", convert, *words], check=True, capture_output=True)
net = MNN.nn.load_module_from_file("net.mnn", ["x"], ["y"])


def run(x):
    given = MNN.expr.placeholder(list(x.shape), MNN.expr.NCHW, MNN.expr.float)
    given.write(x)
    top = net.forward([given])
    return MNN.expr.convert(top[0] if isinstance(top, list) else top, MNN.expr.NCHW).read()


first = run(x)
kept = np.array(first)
run(1 - x)
print("changed by", np.abs(first - kept).max())
assert not np.array_equal(first, kept)
PYTHON
echo "mnn_result_memory: as seen"
