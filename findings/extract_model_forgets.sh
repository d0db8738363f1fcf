#!/bin/sh
# Guess, written before the run: onnx.utils.extract_model keeps the metadata_props and the
# producer of the file that it cuts.
# Seen: onnx 1.23.2 drops the metadata and calls itself the producer, while opset, IR version
# and a free batch stay: where a file came from is lost at the first cut.
set -eu
. "$(dirname "$0")/shared/environment.sh"
install onnx==1.23.2
env/bin/python - <<'PYTHON'
import onnx
from onnx import TensorProto, helper

graph = helper.make_graph(
    [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Neg", ["y"], ["z"])],
    "net",
    [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("batch", 3))],
    [helper.make_tensor_value_info("z", TensorProto.FLOAT, ("batch", 3))],
)
opsets = [helper.make_opsetid("", 17)]
model = helper.make_model(graph, opset_imports=opsets, ir_version=8, producer_name="me")
helper.set_model_props(model, {"source": "sha256 ..."})
onnx.save(onnx.shape_inference.infer_shapes(model), "net.onnx")
onnx.utils.extract_model("net.onnx", "part.onnx", ["x"], ["y"])
part = onnx.load("part.onnx")
print(part.producer_name, part.metadata_props, part.ir_version)
assert not part.metadata_props
assert part.producer_name == "onnx.utils.extract_model"
assert part.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
PYTHON
echo "extract_model_forgets: as seen"
