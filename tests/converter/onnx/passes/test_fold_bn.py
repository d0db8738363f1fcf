"""Folding batch normalisation into convolutions: the same outputs, without the nodes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import converter
from converter.keywords import complete
from converter.onnx.emit import emit
from converter.onnx.graph import Graph
from converter.onnx.options import ExportOptions
from converter.onnx.passes import Request
from converter.onnx.passes.fold_bn import fold_bn
from tests.support.definitions import SCALE, convolution, layer
from tests.support.recorded import assert_close

INPUT = layer("data", "Input", "", "data", "input_param { shape { dim: [2, 3, 8, 7] } }")

FIRE = (
    INPUT
    + convolution("squeeze", "data", 4, more="bias_term: false")
    + layer("squeeze/bn", "BatchNorm", "squeeze", "squeeze")
    + layer("squeeze/scale", "Scale", "squeeze", "squeeze", SCALE)
    + layer("squeeze/relu", "ReLU", "squeeze", "squeeze")
    + convolution("expand1", "squeeze", 5)
    + layer("expand1/bn", "BatchNorm", "expand1", "expand1/bn")
    + convolution("expand3", "squeeze", 6, 3, "group: 2")
    + layer("expand3/bn", "BatchNorm", "expand3", "expand3")
    + layer("expand3/scale", "Scale", "expand3", "expand3", SCALE)
    + layer("concat", "Concat", "expand1/bn expand3", "concat")
)

SE = (
    INPUT
    + convolution("conv", "data", 6, 3)
    + layer("conv/bn", "CuDNNBatchNorm", "conv", "conv/bn", "batch_norm_param { momentum: 0.9 }")
    + layer("conv/relu", "ReLU", "conv/bn", "conv/bn")
    + layer("pool", "Pooling", "conv/bn", "pool", "pooling_param { pool: AVE global_pooling: 1 }")
    + convolution("down", "pool", 2)
    + layer("down/relu", "ReLU", "down", "down")
    + convolution("up", "down", 6)
    + layer("sigmoid", "Sigmoid", "up", "up")
    + convolution("short", "data", 6)
    + layer("short/bn", "CuDNNBatchNorm", "short", "short")
    + layer("sum", "Axpy", "up conv/bn short", "sum")
)


def load(tmp_path: Path, text: str) -> converter.CaffeNet:
    (tmp_path / "net.prototxt").write_text(text)
    net = converter.load(tmp_path / "net.prototxt")
    generator = torch.Generator().manual_seed(1701)
    for blobs in net.params.values():
        for blob in blobs:
            # Positive values: variances and the factor are among them.
            if not isinstance(blob, torch.nn.Parameter) or not blob.any():
                blob.data.uniform_(0.01, 2, generator=generator)
    return net


def kinds(graph: Graph) -> list[str]:
    return [node.op_type for node in graph.nodes]


def fold(graph: Graph) -> int:
    """Fold, and return how many normalisations are said to be folded."""
    said = fold_bn(graph, Request(complete(ExportOptions, {"fold_bn": True})))
    number = int(said.split()[1]) if said else 0
    if number:
        assert said == f"folded {number} batch normalisations into the weights before them"
    return number


def outputs(net: converter.CaffeNet, path: Path, *, fold_bn: bool) -> dict[str, np.ndarray]:
    converter.export_onnx(net, path, fold_bn=fold_bn)
    converter.check_onnx(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1701).standard_normal((3, 3, 8, 7)).astype(np.float32)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"data": x}), strict=True))


@pytest.mark.parametrize(("text", "number"), [(FIRE, 3), (SE, 2)], ids=["fire", "se"])
def test_outputs_stay_and_the_nodes_go(text: str, number: int, tmp_path: Path) -> None:
    net = load(tmp_path, text)
    before = {key: [blob.clone() for blob in blobs] for key, blobs in net.params.items()}
    want = outputs(net, tmp_path / "whole.onnx", fold_bn=False)
    got = outputs(net, tmp_path / "folded.onnx", fold_bn=True)
    assert want.keys() == got.keys()
    for name, value in want.items():
        assert_close(got[name], value, name, 1e-5)
    whole, folded = emit(net), emit(net)
    assert kinds(whole).count("BatchNormalization") == number
    assert fold(folded) == number
    left = [kind for kind in kinds(folded) if kind in ("BatchNormalization", "Mul", "Add")]
    assert left == (["Mul", "Add"] if text is SE else []), "Axpy's alone may stay"
    used = {name for node in folded.nodes for name in node.input}
    assert folded.initializers.keys() <= used
    assert folded.values.keys() <= {name for node in folded.nodes for name in node.output}
    for key, blobs in before.items():
        for old, now in zip(blobs, net.params[key], strict=True):
            assert torch.equal(old, now), f"{key} has changed"


INNER = "inner_product_param {{ num_output: 5 weight_filler {{ type: 'gaussian' }} {more} }}"
UP = """convolution_param { num_output: 6 kernel_size: 3 stride: 2 group: 3
    weight_filler { type: 'gaussian' } bias_term: false }"""


@pytest.mark.parametrize(
    ("op_type", "layer_type", "param"),
    [
        ("Gemm", "InnerProduct", INNER.format(more="")),
        ("Gemm", "InnerProduct", INNER.format(more="transpose: true bias_term: false")),
        ("ConvTranspose", "Deconvolution", UP),
    ],
    ids=["Gemm", "Gemm of transposed weights", "ConvTranspose in groups"],
)
def test_other_weights_take_it_in_too(
    op_type: str, layer_type: str, param: str, tmp_path: Path
) -> None:
    text = (
        INPUT
        + convolution("six", "data", 6)
        + layer("weighted", layer_type, "six", "weighted", param)
        + layer("bn", "BatchNorm", "weighted", "bn")
        + layer("scale", "Scale", "bn", "bn", SCALE)
    )
    net = load(tmp_path, text)
    want = outputs(net, tmp_path / "whole.onnx", fold_bn=False)
    got = outputs(net, tmp_path / "folded.onnx", fold_bn=True)
    assert_close(got["bn"], want["bn"], "bn", 1e-5)
    graph = emit(net)
    assert fold(graph) == 1
    assert [kind for kind in kinds(graph) if kind != "Flatten"] == ["Conv", op_type]


def bn_after_conv(more: str = "", conv: str = "") -> str:
    bn = layer("bn", "BatchNorm", "conv", "bn")
    return INPUT + convolution("conv", "data", 4) + conv + bn + more


def test_a_value_that_others_read_is_not_folded(tmp_path: Path) -> None:
    two = bn_after_conv(conv=layer("relu", "ReLU", "conv", "relu"))
    assert fold(emit(load(tmp_path, two))) == 0


def test_an_output_is_not_folded_away(tmp_path: Path) -> None:
    graph = emit(load(tmp_path, bn_after_conv()))
    graph.outputs["conv"] = graph.values["conv"]
    assert fold(graph) == 0


def test_what_is_no_batch_normalisation_stays(tmp_path: Path) -> None:
    scale = layer("scale", "Scale", "conv", "scale", SCALE)
    graph = emit(load(tmp_path, INPUT + convolution("conv", "data", 4) + scale))
    assert fold(graph) == 0
    assert kinds(graph) == ["Conv", "Mul", "Add"]
    between = bn_after_conv(conv=layer("relu", "ReLU", "conv", "conv"))
    assert fold(emit(load(tmp_path, between))) == 0


@pytest.mark.parametrize("axis", [0, 2])
def test_a_scale_along_another_axis_stays(axis: int, tmp_path: Path) -> None:
    param = f"scale_param {{ axis: {axis} filler {{ type: 'gaussian' }} }}"
    text = bn_after_conv(layer("scale", "Scale", "bn", "scale", param))
    graph = emit(load(tmp_path, text), dynamic=())
    assert fold(graph) == 1
    assert kinds(graph) == ["Conv", "Mul"]


def test_a_factor_that_adds_channels_stays(tmp_path: Path) -> None:
    bn = layer("bn", "BatchNorm", "conv", "bn")
    graph = emit(load(tmp_path, INPUT + convolution("conv", "data", 1) + bn))
    graph.initializers["wide"] = np.ones((4, 1, 1), np.float32)
    graph.nodes.append(onnx.helper.make_node("Mul", ["bn", "wide"], ["product"], "product"))
    graph.outputs["product"] = graph.outputs.pop("bn")
    assert fold(graph) == 1
    assert kinds(graph) == ["Conv", "Mul"]


def test_shared_weights_are_folded_one_by_one(tmp_path: Path) -> None:
    shared = "param { name: 'w' } param { name: 'b' } convolution_param"
    text = INPUT
    for name in ("a", "b"):
        text += convolution(name, "data", 4).replace("convolution_param", shared)
        text += layer(f"{name}/bn", "BatchNorm", name, f"{name}/bn")
    net = load(tmp_path, text)
    want = outputs(net, tmp_path / "whole.onnx", fold_bn=False)
    got = outputs(net, tmp_path / "folded.onnx", fold_bn=True)
    for name, value in want.items():
        assert_close(got[name], value, name, 1e-5)
    assert not np.allclose(want["a/bn"], want["b/bn"])


def test_weights_that_would_overflow_stay(tmp_path: Path) -> None:
    net = load(tmp_path, bn_after_conv())
    net.params["conv"][0].data.fill_(60000)
    net.params["bn"][1].fill_(1e-6)
    assert fold(emit(net)) == 1
    assert fold(emit(net.half())) == 0


def test_off_unless_asked_for(tmp_path: Path) -> None:
    net = load(tmp_path, FIRE)
    converter.export_onnx(net, tmp_path / "net.onnx")
    nodes = onnx.load(tmp_path / "net.onnx").graph.node
    assert sum(node.op_type == "BatchNormalization" for node in nodes) == 3
