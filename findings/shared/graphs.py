"""Small ONNX files from x to y."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def save(nodes, x, shape, weights=(), opset=17, name="net.onnx"):
    """Write a graph whose x is like an array and whose y has a shape."""
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(value, key) for key, value in weights],
    )
    opsets = [helper.make_opsetid("", opset)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8 if opset < 19 else 10)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, name)


def save_convolution():
    """Write a convolution of 3 x 3 into net.onnx, and return an x for it."""
    rng = np.random.default_rng(1701)
    weights = rng.standard_normal((4, 3, 3, 3), np.float32)
    x = rng.standard_normal((1, 3, 8, 10), np.float32)
    node = helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])
    save([node], x, (1, 4, 8, 10), [("w", weights)])
    return x
