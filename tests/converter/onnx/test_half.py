"""Models of float16: what is in float16 and what is not, and what verification takes for right."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import load_file

import converter
from converter.__main__ import main
from converter.onnx.graph import Graph
from converter.onnx.model import OnnxModel, run_exposed
from converter.onnx.passes import Request
from converter.onnx.passes.to_half import to_half
from converter.onnx.runtime import run_onnx
from converter.verification import stretches
from converter.verification.compare import Comparison
from converter.verification.fewer_bits.half import HalfJudge
from converter.verification.fewer_bits.half_model import half_model
from converter.verification.fewer_bits.judge import agreement
from converter.verification.run import Model, Runs
from prototxt.errors import UnsupportedError, WeightError
from tests.support.definitions import SCALE, convolution, layer
from tests.support.opsets import OPSETS

FLOAT, HALF = TensorProto.FLOAT, TensorProto.FLOAT16


@pytest.fixture(params=["whole", "step by step"], autouse=True)
def in_stretches(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verify in one stretch, and in one for each step."""
    if request.param != "whole":
        monkeypatch.setattr(stretches, "LARGEST", 1)


INPUT = layer("data", "Input", "", "data", "input_param { shape { dim: [2, 3, 12, 11] } }")
POOL = "pooling_param { pool: MAX kernel_size: 3 stride: 2 }"
NET = (
    INPUT
    + layer("before", "BatchNorm", "data", "before")
    + convolution("conv1", "before", 16, 3, "bias_term: false")
    + layer("conv1/bn", "BatchNorm", "conv1", "conv1")
    + layer("conv1/scale", "Scale", "conv1", "conv1", SCALE)
    + layer("conv1/relu", "ReLU", "conv1", "conv1")
    + layer("pool1", "Pooling", "conv1", "pool1", POOL)
    + convolution("conv2", "pool1", 32, 3)
    + layer("conv2/bn", "CuDNNBatchNorm", "conv2", "conv2/bn")
    + layer(
        "whole", "Pooling", "conv2/bn", "whole", "pooling_param { pool: AVE global_pooling: 1 }"
    )
    + convolution("scores", "whole", 10)
    + layer("prob", "Softmax", "scores", "prob")
)
LSTM = """
input: "x" input_shape { dim: 5 dim: 2 dim: 24 }
input: "cont" input_shape { dim: 5 dim: 2 }
layer { name: "lstm" type: "LSTM" bottom: "x" bottom: "cont" top: "h"
  recurrent_param { num_output: 16 weight_filler { type: "uniform" min: -0.5 max: 0.5 } } }
layer { name: "ip" type: "InnerProduct" bottom: "h" top: "ip"
  inner_product_param { num_output: 40 axis: 2 weight_filler { type: "xavier" } } }
"""


def load(folder: Path, text: str = NET) -> converter.CaffeNet:
    (folder / "net.prototxt").write_text(text)
    net = converter.load(folder / "net.prototxt")
    generator = torch.Generator().manual_seed(1701)
    for blobs in net.params.values():
        for blob in blobs:
            if not isinstance(blob, torch.nn.Parameter) or not blob.any():
                blob.data.uniform_(0.5, 2, generator=generator)
    return net


@pytest.fixture
def net(tmp_path: Path) -> converter.CaffeNet:
    return load(tmp_path)


def export(net: converter.CaffeNet, path: Path, **options) -> tuple[onnx.GraphProto, list[str]]:
    notes = converter.export_onnx(net, path, half=True, **options).notes
    converter.check_onnx(path)
    return onnx.load(path).graph, notes


def kinds(infos) -> dict[str, int]:
    return {info.name: info.type.tensor_type.elem_type for info in infos}


def weights(graph: onnx.GraphProto) -> dict[str, int]:
    return {one.name: one.data_type for one in graph.initializer}


def images(batch: int) -> np.ndarray:
    shape = (batch, 3, 12, 11)
    return np.random.default_rng(1701).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("opset", OPSETS)
def test_what_is_in_float16(net: converter.CaffeNet, opset: int, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    graph, notes = export(net, path, opset=opset)
    assert kinds(graph.input) == {"data": FLOAT}
    assert kinds(graph.output) == {"prob": FLOAT}
    values = kinds(graph.value_info)
    halves = {name for name, kind in values.items() if kind == HALF}
    assert halves == {"conv1/by/conv1/scale", "conv1", "pool1", "conv2/bn", "scores"}
    assert {name for name, kind in values.items() if kind == FLOAT} >= {"before", "whole"}
    assert [name for name, kind in weights(graph).items() if kind == FLOAT and "before" in name]
    for conv in ("conv1", "conv2", "scores"):
        assert {kind for name, kind in weights(graph).items() if name.startswith(conv)} == {HALF}
    assert notes == [
        "folded 2 batch normalisations into the weights before them",
        "5 of 8 layers compute in float16; in float32 stay before (BatchNormalization), "
        "whole (GlobalAveragePool), prob (Softmax)",
    ]
    assert converter.verify(net, path).passed


def test_sizes_are_free_as_in_float32(net: converter.CaffeNet, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    export(net, path)
    for batch in (1, 5):
        with torch.no_grad():
            want = net(torch.from_numpy(images(batch)))["prob"].numpy()
        got = run_onnx(path, {"data": images(batch)})["prob"]
        assert got.shape == want.shape
        assert 0 < np.abs(got - want).max() < 2e-3


def test_report_of_a_conversion(net: converter.CaffeNet, tiny_sk: Path, tmp_path: Path) -> None:
    files = (tiny_sk / "tiny_sk.prototxt", tiny_sk / "tiny_final_iter_12.caffemodel")
    sizes = []
    for dtype in (torch.float32, torch.float16):
        out = tmp_path / str(dtype)
        report = converter.convert(*files, out, dtype=dtype, optimize=True)
        assert report.passed
        sizes.append([path.stat().st_size for path in sorted(out.glob("tiny_sk.*"))])
    for whole, half in zip(*sizes, strict=True):
        assert half < 0.75 * whole, "names and numbers of axes stay as long"
    written = json.loads((out / "report.json").read_text())
    assert written["dtype"] == "float16"
    assert any(note.startswith("tiny_sk.onnx: ") and "float16" in note for note in written["notes"])
    assert any(
        "the highest is the float32 network's in 2 of 2" in note for note in written["notes"]
    )
    shipped, exposed = written["comparisons"][:2]
    assert [row["blob"] for row in shipped["blobs"]] == ["classifier"]
    assert len(exposed["blobs"]) >= 14, "one is added by its convolution, where oneDNN can"
    limits = [row["tolerance"] for row in exposed["blobs"]]
    assert limits == sorted(limits), "errors add up"
    assert HalfJudge.LEAST == limits[0] <= limits[-1] <= HalfJudge.LARGEST
    assert all(0 <= row["error"] <= row["tolerance"] for row in exposed["blobs"])
    assert "| classifier | 2x10 |" in (out / "report.md").read_text()


def test_ends_in_float16(tmp_path: Path) -> None:
    text = NET.replace('"BatchNorm" bottom: "data"', '"ReLU" bottom: "data"') + layer(
        "best", "ArgMax", "scores", "best"
    )
    net = load(tmp_path, text)
    path = tmp_path / "net.onnx"
    graph, _ = export(net, path, half_io=True)
    assert kinds(graph.input) == {"data": HALF}
    assert kinds(graph.output) == {"best": FLOAT, "prob": HALF}
    assert converter.verify(net, path).passed
    got = run_onnx(path, {"data": images(1)})
    assert got["prob"].dtype == np.float16


def test_ends_that_must_be_float32(net: converter.CaffeNet, tmp_path: Path) -> None:
    graph, _ = export(net, tmp_path / "net.onnx", half_io=True)
    assert kinds(graph.input) == {"data": FLOAT}, "a BatchNormalization alone reads it"
    text = LSTM.replace("LSTM", "Embed").replace("recurrent_param {", "embed_param { input_dim: 9")
    labels = text[text.index("layer {") :].replace('bottom: "cont" ', "")
    net = load(tmp_path, 'input: "x" input_shape { dim: 5 dim: 2 }' + labels)
    graph, _ = export(net, tmp_path / "net.onnx", half_io=True)
    assert kinds(graph.input) == {"x": FLOAT}, "it holds numbers of words"


@pytest.mark.parametrize("large", [1e5, 1e-6])
def test_weights_that_float16_does_not_hold(large: float, tmp_path: Path) -> None:
    net = load(tmp_path)
    net.params["scores"][0].data *= large / net.params["scores"][0].abs().max()
    path = tmp_path / "net.onnx"
    graph, notes = export(net, path)
    assert weights(graph)["scores.weight"] == FLOAT
    assert kinds(graph.value_info)["scores"] == FLOAT
    said = f"layer 'scores' is in float32: 'scores.weight' reaches {large:.3g}, float16 holds "
    assert [note for note in notes if note.startswith(said)]
    assert np.isfinite(run_onnx(path, {"data": images(2)})["prob"]).all()
    assert converter.verify(net, path).passed


def test_normalization_that_would_overflow_stays(tmp_path: Path) -> None:
    net = load(tmp_path)
    net.params["before"][1].fill_(1e4)  # values of 0.01, so that large weights make no large ones
    graph, _ = export(net, tmp_path / "net.onnx")
    assert [node.op_type for node in graph.node].count("BatchNormalization") == 1
    net.params["conv1/bn"][1].fill_(1e-7)
    net.params["conv1/scale"][0].data.fill_(1e5 / 300)
    graph, notes = export(net, tmp_path / "net.onnx")
    assert [node.op_type for node in graph.node].count("BatchNormalization") == 2
    assert weights(graph)["conv1.weight"] == HALF
    assert "conv1/bn (BatchNormalization)" in notes[-1]
    assert converter.verify(net, tmp_path / "net.onnx").passed


def test_constants_that_float16_does_not_hold(tmp_path: Path) -> None:
    power = layer("power", "Power", "conv1", "power", "power_param { scale: 1e-9 }")
    net = load(tmp_path, INPUT + convolution("conv1", "data", 4) + power)
    graph, notes = export(net, tmp_path / "net.onnx")
    assert kinds(graph.output) == {"power": FLOAT}
    assert [note for note in notes if note.startswith("layer 'power' is in float32: ")]
    assert run_onnx(tmp_path / "net.onnx", {"data": images(2)})["power"].any()
    assert converter.verify(net, tmp_path / "net.onnx").passed


def test_the_lowest_number_of_an_empty_window(tmp_path: Path) -> None:
    pool = "pooling_param { pool: MAX kernel_size: 1 stride: 3 }"
    text = INPUT + convolution("conv1", "data", 4) + layer("pool", "Pooling", "conv1", "pool", pool)
    net = load(tmp_path, text)
    _, notes = export(net, tmp_path / "net.onnx")
    assert notes[0].startswith("layer 'pool' is in float32: ")
    assert converter.verify(net, tmp_path / "net.onnx").passed


def test_squares_overflow(tmp_path: Path) -> None:
    square = layer(
        "square", "Eltwise", "conv1 conv1", "square", "eltwise_param { operation: PROD }"
    )
    net = load(tmp_path, INPUT + convolution("conv1", "data", 4) + square)
    net.params["conv1"][0].data *= 1000
    _, notes = export(net, tmp_path / "net.onnx")
    assert notes[-1].endswith("layers compute in float16; in float32 stay square (Mul)")
    assert run_onnx(tmp_path / "net.onnx", {"data": images(2)})["square"].max() > 1e5
    assert converter.verify(net, tmp_path / "net.onnx").passed


def test_places_of_equal_values(tmp_path: Path) -> None:
    pool = POOL.replace("kernel_size: 3", "kernel_size: 4")
    text = INPUT + convolution("conv1", "data", 4)
    text += layer("pool", "Pooling", "conv1", "pool", 'top: "mask" ' + pool)
    net = load(tmp_path, text)
    net.params["conv1"][1].data += 500  # float16 has two values between 500 and 501
    export(net, tmp_path / "net.onnx")
    report = converter.verify(net, tmp_path / "net.onnx")
    assert report.passed
    (mask,) = [row for row in report.comparisons[1].rows if row.blob == "mask"]
    assert mask.error == 0


def test_what_a_loop_takes_from_outside() -> None:
    graph = Graph("net", 17)
    graph.inputs["x"] = (FLOAT, [3, 4])
    graph.outputs["z"] = (FLOAT, [3, 4])
    graph.initializers["w"] = np.eye(4, dtype=np.float32)
    made = [helper.make_tensor_value_info(name, FLOAT, [4]) for name in ("row", "sum")]
    first = helper.make_node("ReduceMax", ["y"], ["most"], keepdims=0)
    body = [first, helper.make_node("Add", ["row", "most"], ["sum"])]
    step = helper.make_graph(body, "step", made[:1], made[1:])
    graph.nodes += [
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("Scan", ["x"], ["z"], body=step, num_scan_inputs=1),
    ]
    assert (
        to_half(graph, Request(half=True))
        == "1 of 2 layers compute in float16; in float32 stay z (Scan)"
    )
    assert [node.op_type for node in graph.nodes] == ["Cast", "MatMul", "Cast", "Scan"]
    assert graph.nodes[3].attribute[0].g.node[0].input == ["y/float"]


def test_shared_weights_in_both_types(tmp_path: Path) -> None:
    shared = "param { name: 'w' } inner_product_param { num_output: 8 }"
    text = 'input: "x" input_shape { dim: 4 dim: 8 }' + layer("a", "InnerProduct", "x", "a", shared)
    text += layer("b", "InnerProduct", "a", "b", shared)
    net = load(tmp_path, text)
    net.params["a"][0].data.uniform_(-1, 1, generator=torch.Generator().manual_seed(1701))
    net.params["b"][1].data.fill_(1e5)
    graph, _ = export(net, tmp_path / "net.onnx")
    kept = {name: kind for name, kind in weights(graph).items() if name.startswith("a.weight")}
    assert kept == {"a.weight": FLOAT, "a.weight/half": HALF}
    assert converter.verify(net, tmp_path / "net.onnx").passed


def test_names_that_are_taken(tmp_path: Path) -> None:
    text = INPUT.replace("data", "x")
    for name, bottom in (("y", "x"), ("x/half", "x"), ("y/half", "y")):
        text += convolution(name, bottom, 4)
    net = load(tmp_path, text + layer("n", "LRN", "y", "y/float"))
    export(net, tmp_path / "net.onnx")
    report = converter.verify(net, tmp_path / "net.onnx")
    assert report.passed
    assert {row.blob for row in report.comparisons[1].rows} == {"y", "x/half", "y/half", "y/float"}


def test_recurrent_layers_compute_in_float32(tmp_path: Path) -> None:
    net = load(tmp_path, LSTM)
    path = tmp_path / "net.onnx"
    graph, notes = export(net, path)
    assert notes[-1].endswith("layers compute in float16; in float32 stay lstm (Scan)")
    large = {one.name: one.data_type for one in graph.initializer if len(one.dims) == 2}
    assert len(large) == 3, large
    assert set(large.values()) == {HALF}
    assert kinds(graph.input) == {"x": FLOAT, "cont": FLOAT}
    converter.export_onnx(net, tmp_path / "whole.onnx")
    report = converter.verify(net, path)
    assert report.passed
    assert 0 < report.comparisons[1].rows[0].error < HalfJudge.LEAST


def test_a_detector(shared: Path, tmp_path: Path) -> None:
    folder = shared / "models" / "yufacedetect_v1"
    net = converter.load(
        folder / "deploy.prototxt",
        folder / "weights.caffemodel",
        input_shapes={"data": (1, 3, 96, 128)},
    )
    path = tmp_path / "net.onnx"
    _, notes = export(net, path)
    assert "detection_out" in notes[-1]
    report = converter.verify(net, path)
    assert report.passed
    rows = {row.blob: row for row in report.comparisons[1].rows}
    assert rows["detection_out"].shape[2] > 1, "nothing is detected"
    assert rows["detection_out"].tolerance == 1e-4
    # Another box in the file is seen, though the network chooses boxes anew.
    model = onnx.load(path)
    for one in model.graph.initializer:
        if "prior" in one.name and one.data_type == FLOAT and len(one.dims) > 1:
            one.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(one) * 1.01, one.name))
    onnx.save(model, path)
    assert not converter.verify(net, path).passed


def test_a_choice_behind_a_layer_left_out(tmp_path: Path) -> None:
    text = (
        INPUT
        + convolution("conv", "data", 16, 3)
        + layer("drop", "Dropout", "conv", "drop")
        + layer("best", "ArgMax", "drop", "best", "argmax_param { axis: 1 }")
    )
    net = load(tmp_path, text)
    path = tmp_path / "net.onnx"
    graph, _ = export(net.optimize(channels_last=False), path)
    assert "drop" not in {name for node in graph.node for name in node.output}
    assert converter.verify(net, path).passed
    model = onnx.load(path)
    at, node = next((i, one) for i, one in enumerate(model.graph.node) if one.op_type == "ArgMax")
    model.graph.node.insert(at, helper.make_node("Neg", [node.input[0]], ["lowest"]))
    model.graph.node[at + 1].input[0] = "lowest"
    onnx.save(model, path)
    assert not converter.verify(net, path).passed


def test_another_choice_of_the_file_as_it_ships_is_left_out(tmp_path: Path) -> None:
    best = layer("best", "ArgMax", "conv", "best", "argmax_param { axis: 1 }")
    text = INPUT + convolution("conv", "data", 16, 3) + best + convolution("other", "data", 4, 3)
    net = load(tmp_path, text)
    path = tmp_path / "net.onnx"
    export(net, path)
    fed = {"data": torch.from_numpy(images(2))}
    exposed = run_exposed(path, {"data": images(2)}, ["conv", "best", "other"])
    model = half_model(OnnxModel(path))
    assert model is not None

    def compared(**wrong: float) -> Comparison:
        shipped = {name: exposed[name] + wrong.get(name, 0) for name in ("best", "other")}
        inputs = {"data": images(2)}
        runs = Runs(net, fed, Model(OnnxModel(path), "as it ships", inputs, shipped))
        first, second = HalfJudge(model).compare(runs)
        assert second.passed
        return first

    assert [row.blob for row in compared().rows] == ["best", "other"]
    first = compared(best=1)
    assert [row.blob for row in first.rows] == ["other"]
    assert first.passed
    assert not compared(best=1, other=1).passed


def test_classes_alone_have_a_highest() -> None:
    scores = np.array([[1.0, 2, 3], [3, 2, 1]])
    got = {"prob": scores[:, :, None], "map": scores.reshape(1, 2, 3), "loss": np.array(1.0)}
    wrong = {"prob": got["prob"][::-1].copy()} | {name: got[name] for name in ("map", "loss")}
    wrong["prob"][0] = got["prob"][0]
    assert agreement(got, wrong) == ["prob: the highest is the float32 network's in 1 of 2 samples"]
    assert agreement(got, {"prob": scores}) == []


def test_a_loss_is_named_by_what_it_computes(tmp_path: Path) -> None:
    label = layer("label", "Input", "", "label", "input_param { shape { dim: 2 } }")
    scores = layer(
        "scores", "InnerProduct", "data", "scores", "inner_product_param { num_output: 4 }"
    )
    end = layer("loss", "SoftmaxWithLoss", "scores", "loss", 'bottom: "label"')
    net = load(tmp_path, INPUT + label + scores + end)
    _, notes = export(net, tmp_path / "net.onnx", with_losses=True)
    assert notes[-1].endswith("layers compute in float16; in float32 stay loss (LogSoftmax)")


def test_probabilities_that_are_appended_are_judged(tmp_path: Path) -> None:
    net = load(tmp_path, INPUT + convolution("scores", "data", 10, 3))
    path = tmp_path / "net.onnx"
    export(net, path, softmax=True)
    report = converter.verify(net, path)
    assert report.passed
    assert [row.blob for row in report.comparisons[0].rows] == ["softmax"]
    model = onnx.load(path)
    (node,) = [one for one in model.graph.node if one.op_type == "Softmax"]
    node.attribute[0].i = 2
    onnx.save(model, path)
    report = converter.verify(net, path)
    assert [one.passed for one in report.comparisons[:2]] == [False, True]


def test_another_models_outputs_are_no_choice(net: converter.CaffeNet, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    export(net, path)
    model = onnx.load(path)
    for node in model.graph.node:
        node.output[:] = ["other" if name == "prob" else name for name in node.output]
    model.graph.output[0].name = "other"
    onnx.save(model, path)
    first, second = converter.verify(net, path).comparisons[:2]
    assert not first.passed
    assert second.passed


@pytest.mark.parametrize(("name", "by"), [("conv1", 1.05), ("conv2", 1.1), ("scores", 0.9)])
def test_a_wrong_weight_is_found(
    net: converter.CaffeNet, name: str, by: float, tmp_path: Path
) -> None:
    path = tmp_path / "net.onnx"
    export(net, path)
    model = onnx.load(path)
    (one,) = [w for w in model.graph.initializer if w.name.startswith(name) and len(w.dims) == 4]
    array = numpy_helper.to_array(one).copy()
    array[0] *= np.float16(by)
    one.CopyFrom(numpy_helper.from_array(array, one.name))
    onnx.save(model, path)
    report = converter.verify(net, path)
    assert not report.passed
    assert report.comparisons[1].first_bad.blob.startswith(name)


def test_rounding_that_leaves_nothing_fails(tmp_path: Path) -> None:
    net = load(tmp_path, INPUT + convolution("conv1", "data", 1, more="bias_term: false"))
    net.params["conv1"][0].data.copy_(torch.tensor([1.0004, -1, 0]).reshape(1, 3, 1, 1))
    path = tmp_path / "net.onnx"
    export(net, path)
    alike = {"data": images(2)[:, :1].repeat(3, 1)}
    (row,) = converter.verify(net, path, inputs=alike).comparisons[1].rows
    assert row.error == 1
    assert row.tolerance == HalfJudge.LARGEST < 1, "however much rounding does"


def test_a_value_that_overflows_fails(tmp_path: Path) -> None:
    net = load(tmp_path, INPUT + convolution("conv1", "data", 4) + convolution("conv2", "conv1", 4))
    net.params["conv1"][0].data *= 6e4 / net.params["conv1"][0].abs().max()
    net.params["conv2"][0].data.uniform_(0.01, 0.02)
    net.params["conv1"][0].data.abs_()
    path = tmp_path / "net.onnx"
    export(net, path)
    assert np.isinf(run_exposed(path, {"data": images(2)}, ["conv1"])["conv1"]).any()
    report = converter.verify(net, path)
    assert not report.passed
    assert report.first_bad is not None


def test_safetensors_and_what_cannot_be(net: converter.CaffeNet, tmp_path: Path) -> None:
    net.params["conv2/bn"][3].view(-1)[0] = 1e-6
    converter.save_caffemodel(net, tmp_path / "net.caffemodel")
    files = (tmp_path / "net.prototxt", tmp_path / "net.caffemodel", tmp_path / "out")
    report = converter.convert(*files, formats=["safetensors"], dtype=torch.float16)
    assert report.passed
    tensors = load_file(tmp_path / "out" / "net.safetensors")
    kept = [name for name, tensor in tensors.items() if tensor.dtype != torch.float16]
    assert kept == ["conv2/bn.running_var"]
    assert (
        "net.safetensors: in float32, since float16 does not hold them: conv2/bn.running_var"
        in report.notes
    )
    with pytest.raises(UnsupportedError, match="format caffemodel holds no float16"):
        converter.convert(*files, formats=["onnx", "caffemodel"], dtype=torch.float16)
    with pytest.raises(UnsupportedError, match="only a model of half precision has float16 inputs"):
        converter.convert(*files, half_io=True)
    with pytest.raises(UnsupportedError, match="the network is in float64, half precision is"):
        converter.export_onnx(net.double(), tmp_path / "net.onnx", half=True)


def test_torch_programs_in_float16(net: converter.CaffeNet, tmp_path: Path) -> None:
    net.params["scores"][0].data.fill_(1e5)
    converter.save_caffemodel(net, tmp_path / "large.caffemodel")
    prototxt = tmp_path / "net.prototxt"
    options = {"formats": ["pt2"], "dtype": torch.float16, "verify_it": False}
    with pytest.raises(WeightError, match=r"'scores' .*float16 does not hold its weights"):
        converter.convert(prototxt, tmp_path / "large.caffemodel", tmp_path / "out", **options)
    report = converter.convert(prototxt, None, tmp_path / "out", **options)
    assert "net.pt2 takes and gives float16" in report.notes
    program = torch.export.load(tmp_path / "out" / "net.pt2").module()
    got = program({"data": torch.from_numpy(images(3)).half()})["prob"]
    assert got.dtype == torch.float16


def test_commands(
    net: converter.CaffeNet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    converter.save_caffemodel(net, tmp_path / "net.caffemodel")
    files = [str(tmp_path / "net.prototxt"), str(tmp_path / "net.caffemodel")]
    out = tmp_path / "out"
    asked = ["--format", "onnx", "--dtype", "float16", "--half-io"]
    assert main(["convert", *files, "-o", str(out), *asked]) == 0
    assert "rounding to float16 alone" in capsys.readouterr().out
    assert main(["verify", *files, str(out / "net.onnx")]) == 0
    assert "rounding to float16 alone" in capsys.readouterr().out
    assert main(["verify", *files, "--dtype", "float16"]) == 0
    assert "rounding to float16 alone" in capsys.readouterr().out
    assert main(["verify", *files, str(out / "net.onnx"), "--tolerance", "1e-5"]) == 1
