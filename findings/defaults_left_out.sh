#!/bin/sh
# Guess, set beside what had been seen already: an attribute at its default may be written or left
# out, and every reader takes both alike.
# Seen: MNN 3.6.1 converts a MaxPool without strides, and stops with a signal when it runs;
# pnnx 20261020 leaves a Pad without its mode as it is, a layer that ncnn does not have. With
# strides=[1, 1] and mode="constant" both are right.
set -eu
. "$(dirname "$0")/shared/environment.sh"
install numpy==2.4.6 onnx==1.23.2 MNN==3.6.1
install --no-deps pnnx==20261020
env/bin/python - <<'PYTHON'
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from graphs import save
from onnx import helper

x = np.random.default_rng(1701).standard_normal((1, 3, 6, 7), np.float32)
convert = "import sys, MNN, _tools; _tools.mnnconvert(sys.argv)"
words = ["-f", "ONNX", "--modelFile", "net.onnx", "--MNNModel", "net.mnn", "--bizCode", "x"]
run = """
import MNN, numpy as np
net = MNN.nn.load_module_from_file("net.mnn", ["x"], ["y"])
given = MNN.expr.placeholder([1, 3, 6, 7], MNN.expr.NCHW, MNN.expr.float)
given.write(np.load("x.npy"))
top = net.forward([given])
top = MNN.expr.convert(top[0] if isinstance(top, list) else top, MNN.expr.NCHW)
print(np.array(top.read()).shape)
"""
np.save("x.npy", x)
for how in ({}, {"strides": [1, 1]}):
    save([helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[3, 3], **how)], x, (1, 3, 4, 5))
    Path("net.mnn").unlink(missing_ok=True)
    subprocess.run([sys.executable, "-c", convert, *words], check=True, capture_output=True)
    ran = subprocess.run([sys.executable, "-c", run], capture_output=True, text=True, check=False)
    print("MaxPool", how, "status", ran.returncode, ran.stdout.strip())
    assert (ran.returncode < 0) == (not how)

binary = Path(find_spec("pnnx").submodule_search_locations[0]) / "pnnx"
pads = np.array([0, 0, 1, 1, 0, 0, 1, 1])
for how in ({}, {"mode": "constant"}):
    save([helper.make_node("Pad", ["x", "p"], ["y"], **how)], x, (1, 3, 8, 9), [("p", pads)])
    subprocess.run(
        [binary, "net.onnx", "inputshape=[1,3,6,7]f32"], check=True, capture_output=True
    )
    layer = Path("net.ncnn.param").read_text().splitlines()[-1].split()[0]
    print("Pad", how, "becomes", layer)
    assert layer == ("Padding" if how else "Pad")
PYTHON
echo "defaults_left_out: as seen"
