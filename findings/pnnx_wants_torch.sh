#!/bin/sh
# Guess, written before the run: pip install pnnx brings one binary, which needs nothing: it
# converts ONNX and TorchScript files.
# Seen: the wheel pnnx 20261020 names torch, gigabytes of it, and its command 'pnnx' fails
# without; the binary inside the package runs alone.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q onnx==1.23.2
"$folder/env/bin/pip" install -q --no-deps pnnx==20261020
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

from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path

print(requires("pnnx"))
assert requires("pnnx") == ["torch"]
command = subprocess.run(
    [Path(sys.executable).with_name("pnnx"), "net.onnx"], capture_output=True, text=True, check=False
)
print(command.stderr.splitlines()[-1])
assert "No module named 'torch'" in command.stderr
binary = Path(find_spec("pnnx").submodule_search_locations[0]) / "pnnx"
subprocess.run([binary, "net.onnx", "inputshape=[1,3,8,10]f32"], check=True, capture_output=True)
assert Path("net.ncnn.param").exists()
PYTHON
echo "pnnx_wants_torch: as seen"
