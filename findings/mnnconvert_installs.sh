#!/bin/sh
# Guess, written before the run: MNN's mnnconvert converts a file and touches nothing else.
# Seen: the module of MNN 3.6.1 runs 'pip install -U aliyun-log-python-sdk' when it is imported,
# into whatever pip is first on the path, and asks a server for credentials to report the
# conversion to. _tools.mnnconvert(argv) converts alone.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/env"
"$folder/env/bin/pip" install -q numpy==2.4.6 onnx==1.23.2 MNN==3.6.1
mkdir "$folder/path"
printf "#!/bin/sh\necho \"\$@\" >> \"%s/asked\"\n" "$folder" > "$folder/path/pip"
chmod +x "$folder/path/pip"
PATH="$folder/path:$PATH"
export PATH
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

words = ["-f", "ONNX", "--modelFile", "net.onnx", "--MNNModel", "net.mnn", "--bizCode", "x"]
program = [sys.executable, "-m", "MNN.tools.mnnconvert"]
subprocess.run([*program, *words], check=False, capture_output=True)
asked = open("asked").read()
print("pip", asked)
assert set(asked.splitlines()) == {"install -U aliyun-log-python-sdk"}
PYTHON
echo "mnnconvert_installs: as seen"
