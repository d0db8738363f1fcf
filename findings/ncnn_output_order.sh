#!/bin/sh
# Guess, written before the run: ncnn's output_names() of a file that pnnx made come in the ONNX
# file's order, as its out0, out1 do.
# Seen: in ncnn 1.0.20261020 with pnnx 20261020 they come by the layers' order: of outputs
# (late, early) out1 is the first. Zipped with the file's names, results change places without a
# word.
set -eu
. "$(dirname "$0")/shared/environment.sh"
install numpy==2.4.6 onnx==1.23.2 ncnn==1.0.20261020
install --no-deps pnnx==20261020
env/bin/python - <<'PYTHON'
import subprocess
from importlib.util import find_spec
from pathlib import Path

import ncnn
import onnx
from onnx import TensorProto, helper

shape = (1, 3, 4, 4)
graph = helper.make_graph(
    [
        helper.make_node("Relu", ["x"], ["early"]),
        helper.make_node("GlobalMaxPool", ["early"], ["late"]),
    ],
    "net",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
    [
        helper.make_tensor_value_info("late", TensorProto.FLOAT, (1, 3, 1, 1)),
        helper.make_tensor_value_info("early", TensorProto.FLOAT, shape),
    ],
)
onnx.save(
    helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), "net.onnx"
)
program = Path(find_spec("pnnx").origin).with_name("pnnx")
subprocess.run([program, "net.onnx", "inputshape=[1,3,4,4]f32"], check=True, capture_output=True)
net = ncnn.Net()
assert net.load_param("net.ncnn.param") == 0
names = list(net.output_names())
print(names)
print(Path("net.ncnn.param").read_text())
assert names == ["out1", "out0"]
PYTHON
echo "ncnn_output_order: as seen"
