"""From a loaded network to an ONNX graph."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from onnx import TensorProto, defs
from typing_extensions import Unpack

from caffe_layers import Shape
from caffe_layers.limits import running
from converter.keywords import complete, refuse_unknown
from converter.network.net import CaffeNet
from converter.network.plan import Plan
from prototxt.errors import UnsupportedError, within

from .builder import Builder
from .free_axes import dynamic_dims
from .graph import Graph
from .options import OLDEST_OPSET, GraphOptions, free_axes
from .targets import get_target

FLOATS = {
    torch.float32: (TensorProto.FLOAT, np.float32),
    torch.float64: (TensorProto.DOUBLE, np.float64),
    torch.float16: (TensorProto.FLOAT16, np.float16),
}


def emit(
    net: CaffeNet,
    *,
    input_shapes: Mapping[str, Shape] | None = None,
    **options: Unpack[GraphOptions],
) -> Graph:
    """Return the network as an ONNX graph, its weights as views of the network's.

    `input_shapes` stand for those that the network was loaded with. Losses and accuracies, and
    inputs that only they use, are left out unless `with_losses`. `softmax` ends a classifier's
    single output in probabilities. Raises UnsupportedError for what ONNX cannot say.
    """
    refuse_unknown(emit, GraphOptions, options)
    asked = complete(GraphOptions, options)
    opset = asked["opset"]
    check_opset(opset)
    exported = net.exported(with_losses=asked["with_losses"])
    if input_shapes is not None:
        exported = exported.at(input_shapes, net.layers)
    plan = exported.plan
    dims = dynamic_dims(exported, net.layers, free_axes(asked))
    dtype = net.dtype
    if dtype not in FLOATS:
        raise UnsupportedError(f"no ONNX export of {dtype}", fix="load with float32 or float64")
    onnx_type, numpy_type = FLOATS[dtype]
    graph = Graph(net.name or "caffe", opset)
    target = get_target(asked["target"]) if asked["target"] is not None else None
    builder = Builder(graph, exported.shapes, dims, numpy_type, target)
    for name in exported.inputs:
        graph.inputs[name] = (onnx_type, dims[name])
    for step in plan.steps:
        with within(step.place), running(step.cls):
            builder.write(step.key, net.layers[step.key].onnx, step.bottoms, step.tops)
        for top in step.tops:
            graph.values[top] = (onnx_type, dims[top])
    if asked["with_losses"] and not any(s.cls.is_loss or s.cls.is_metric for s in plan.steps):
        graph.notes.append("--with-losses changes nothing: the network computes none")
    outputs = list(plan.outputs.values())
    if asked["softmax"]:
        outputs = [_append_softmax(builder, plan)]
    for name in outputs:
        graph.outputs[name] = graph.values.pop(name)
    graph.drop_dead()
    graph.drop_unread(graph.initializers.keys() - graph.learned)
    return graph


def check_opset(opset: int) -> None:
    """Raise UnsupportedError for an opset that is not written."""
    newest = defs.onnx_opset_version()
    if not OLDEST_OPSET <= opset <= newest:
        raise UnsupportedError(f"opset {opset} is not in {OLDEST_OPSET}..{newest}")


def _append_softmax(builder: Builder, plan: Plan) -> str:
    """End in probabilities, unless the network's own last layer does."""
    outputs = list(plan.outputs.values())
    if len(outputs) != 1:
        raise UnsupportedError(f"softmax wants one output, the network has {len(outputs)}")
    (logits,) = outputs
    last = next(step for step in reversed(plan.steps) if logits in step.tops)
    if last.cls.caffe_type == "Softmax":
        builder.graph.notes.append(f"--softmax changes nothing: {logits!r} is a Softmax's already")
        return logits
    graph = builder.graph
    name = "softmax" if "softmax" not in graph.values.keys() | graph.inputs.keys() else "softmax_"
    builder.write(name, lambda op, x: op.Softmax(x, axis=1), (logits,), (name,))
    graph.values[name] = graph.values[logits]
    return name
