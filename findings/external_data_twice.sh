#!/bin/sh
# Guess, written before the run: onnx.save with save_as_external_data to the same place a second
# time replaces the first file (or appends, as old versions did).
# Seen: onnx 1.23.2 raises FileExistsError and has by then written nothing: a script that
# converts anew must remove the data first. Without external data the second save replaces the
# first.
set -eu
. "$(dirname "$0")/shared/environment.sh"
install onnx==1.23.2
env/bin/python - <<'PYTHON'
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def model():
    graph = helper.make_graph(
        [helper.make_node("Mul", ["x", "w"], ["y"])],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (512,))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (512,))],
        [numpy_helper.from_array(np.ones(512, np.float32), "w")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


outside = {"save_as_external_data": True, "location": "net.data", "size_threshold": 0}
onnx.save(model(), "net.onnx", **outside)
try:
    onnx.save(model(), "net.onnx", **outside)
except FileExistsError as error:
    print(error)
else:
    raise AssertionError("it was written")
onnx.save(model(), "plain.onnx")
onnx.save(model(), "plain.onnx")
PYTHON
echo "external_data_twice: as seen"
