#!/bin/sh
# Guess, written before the run: pip install pnnx brings one binary, which needs nothing: it
# converts ONNX and TorchScript files.
# Seen: the wheel pnnx 20261020 names torch, gigabytes of it, and its command 'pnnx' fails
# without; the binary inside the package runs alone.
set -eu
. "$(dirname "$0")/shared/environment.sh"
install onnx==1.23.2
install --no-deps pnnx==20261020
env/bin/python - <<'PYTHON'
import subprocess
import sys
from importlib.metadata import requires
from importlib.util import find_spec
from pathlib import Path

from graphs import save_convolution

save_convolution()
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
