"""Models of eight bits: what is in them and what is not, and what verification takes for right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, numpy_helper

import converter
from converter.__main__ import main
from converter.engines import get_engine
from converter.onnx.graph import makers
from converter.onnx.model import OnnxModel
from converter.onnx.quantization import quantize
from converter.onnx.quantization.calibration import Calibration
from converter.onnx.quantization.quantize import NEWEST_OPSET
from converter.onnx.runtime import run_onnx
from converter.verification.fewer_bits.int8_model import int8_model
from prototxt.errors import CaffeError, FormatError, ShapeError, UnsupportedError, UsageError
from tests.support.definitions import SCALE, convolution, layer
from tests.support.opsets import OPSETS

INPUT = layer("data", "Input", "", "data", "input_param { shape { dim: [2, 3, 12, 12] } }")
POOL = "pooling_param { pool: MAX kernel_size: 2 stride: 2 }"
NET = (
    INPUT
    + convolution("conv1", "data", 16, 3, "bias_term: false")
    + layer("conv1/bn", "BatchNorm", "conv1", "conv1")
    + layer("conv1/scale", "Scale", "conv1", "conv1", SCALE)
    + layer("conv1/relu", "ReLU", "conv1", "conv1")
    + layer("pool1", "Pooling", "conv1", "pool1", POOL)
    + convolution("left", "pool1", 16, 3)
    + convolution("right", "pool1", 16)
    + layer("both", "Concat", "left right", "both")
    + convolution("back", "both", 16)
    + layer("sum", "Eltwise", "back pool1", "sum")
    + layer("sum/relu", "ReLU", "sum", "sum")
    + layer("whole", "Pooling", "sum", "whole", "pooling_param { pool: AVE global_pooling: 1 }")
    + layer("scores", "InnerProduct", "whole", "scores", "inner_product_param { num_output: 10 "
            "weight_filler { type: 'xavier' } bias_filler { value: 0.1 } }")
    + layer("prob", "Softmax", "scores", "prob")
)  # fmt: skip


def load(folder: Path, text: str = NET) -> converter.CaffeNet:
    (folder / "net.prototxt").write_text(text)
    net = converter.load(folder / "net.prototxt")
    generator = torch.Generator().manual_seed(1701)
    for blobs in net.params.values():
        for blob in blobs:
            if not isinstance(blob, torch.nn.Parameter) or not blob.any():
                blob.data.uniform_(0.5, 2, generator=generator)
    return net


def samples(count: int = 6, *shape: int) -> np.ndarray:
    random = np.random.default_rng(1701)
    return random.standard_normal((count, *(shape or (3, 12, 12)))).astype(np.float32)


def calibration(count: int = 6, **options: Any) -> Calibration:
    return Calibration([{"data": one[None]} for one in samples(count)], **options)


def exported(
    net: converter.CaffeNet, path: Path, given: Calibration | None = None, **options: Any
) -> tuple[onnx.GraphProto, list[str]]:
    graph = converter.export_onnx(net, path, calibration=given or calibration(), **options)
    return onnx.load(path).graph, graph.notes


@pytest.mark.parametrize("opset", [*OPSETS[:-1], NEWEST_OPSET])
def test_products_and_what_lies_between_them_are_in_eight_bits(tmp_path: Path, opset: int) -> None:
    net, path = load(tmp_path), tmp_path / "net.onnx"
    graph, notes = exported(net, path, opset=opset)
    types = {one.name: one.data_type for one in graph.initializer}
    weights = [
        name for name, kind in types.items() if kind == TensorProto.INT8 and "/eight" in name
    ]
    assert len(weights) == 5
    made_by = makers(graph.node)
    for node in graph.node:
        if node.op_type in ("Conv", "Gemm", "MaxPool", "Concat", "GlobalAveragePool"):
            assert {made_by[name].op_type for name in node.input} == {"DequantizeLinear"}, node
    assert types.keys() <= {name for node in graph.node for name in node.input}
    (softmax,) = (node for node in graph.node if node.op_type == "Softmax")
    assert made_by[softmax.input[0]].op_type == "Gemm"  # its products stay float32
    ends = [*graph.input, *graph.output]
    assert {one.type.tensor_type.elem_type for one in ends} == {TensorProto.FLOAT}
    assert any(note.startswith("11 of 12 layers compute in eight bits") for note in notes)
    assert "in float32 for other reasons: prob (Softmax)" in notes
    report = converter.verify(net, path, inputs={"data": samples()[:2]})
    assert report.passed, report
    assert report.dtype == "int8"
    shown = {row.blob for row in report.comparisons[1].rows}
    assert shown >= {"conv1", "pool1", "left", "right", "both", "back", "sum", "whole", "prob"}
    assert " dB" in str(report)
    assert "| noise |" in report.markdown()


def test_values_that_only_move_share_a_scale(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    exported(load(tmp_path), path)
    found = int8_model(OnnxModel(path))
    assert found is not None
    roundings = found.roundings
    assert roundings["pool1"] == roundings["conv1"]
    assert roundings["left"] == roundings["right"] == roundings["both"]
    assert roundings["sum"] != roundings["pool1"]
    assert found.holds_weights_of("conv1")
    assert not found.holds_weights_of("conv")
    assert not found.holds_weights_of("pool1")


def test_the_largest_of_signed_values_keep_their_scale(tmp_path: Path) -> None:
    text = (
        INPUT
        + convolution("conv", "data", 4, 3)
        + layer("pool", "Pooling", "conv", "pool", POOL)
        + convolution("last", "pool", 2)
    )
    path = tmp_path / "net.onnx"
    exported(load(tmp_path, text), path)
    found = int8_model(OnnxModel(path))
    assert found is not None
    assert found.roundings["pool"] == found.roundings["conv"]
    assert int(found.roundings["conv"].zero) > 0


def test_a_convolution_is_integer_arithmetic(tmp_path: Path) -> None:
    """Sums of products of whole numbers, from 32 bits to eight, said in plain loops."""
    text = INPUT + convolution("conv", "data", 4, 3) + convolution("last", "conv", 2)
    net, path = load(tmp_path, text), tmp_path / "net.onnx"
    graph, _ = exported(net, path)
    arrays = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    x = samples(1)
    scale, zero = arrays["data/scale"], int(arrays["data/zero"])
    q = np.clip(np.round(x / scale) + zero, 0, 255).astype(np.int64) - zero
    weight = arrays["conv.weight/eight"].astype(np.int64)
    sums = np.zeros((1, 4, 12, 12), np.int64)
    padded = np.pad(q, ((0, 0), (0, 0), (1, 1), (1, 1)))
    for row in range(12):
        for column in range(12):
            window = padded[0, :, row : row + 3, column : column + 3]
            sums[0, :, row, column] = (weight * window).sum((1, 2, 3)) + arrays["conv.bias/32"]
    products = sums * (scale * arrays["conv.weight/scale"])[:, None, None]
    made, at = arrays["conv/scale"], int(arrays["conv/zero"])
    wanted = (np.clip(np.round(products / made) + at, 0, 255) - at) * made
    got = OnnxModel(path).run_exposed({"data": x}, ["conv"])["conv"]
    assert np.abs(got - wanted).max() <= made * 1.01
    assert (np.abs(got - wanted) > made / 2).mean() < 0.01
    exact = net.blobs({"data": torch.from_numpy(x)})["conv"].detach().numpy()
    assert np.abs(got - exact).max() < 0.05 * np.abs(exact).max()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("left.weight/scale", lambda a: a * 1.3),
        ("back.weight/eight", lambda a: np.roll(a, 1, 0)),
        ("right.bias/32", lambda a: a + 4000),
    ],
)
def test_what_is_not_as_rounding_makes_it_fails(tmp_path: Path, name: str, change: Any) -> None:
    net, path = load(tmp_path), tmp_path / "net.onnx"
    exported(net, path)
    model = onnx.load(path)
    changed = [one for one in model.graph.initializer if one.name == name]
    assert changed, [one.name for one in model.graph.initializer]
    for one in changed:
        array = np.asarray(change(numpy_helper.to_array(one)))
        one.CopyFrom(numpy_helper.from_array(array.astype(numpy_helper.to_array(one).dtype), name))
    onnx.save(model, path)
    assert not converter.verify(net, path, inputs={"data": samples()[:2]}).passed


def test_a_pair_of_two_scales_fails(tmp_path: Path) -> None:
    net, path = load(tmp_path), tmp_path / "net.onnx"
    exported(net, path)
    model = onnx.load(path)
    (node,) = (
        one
        for one in model.graph.node
        if one.op_type == "DequantizeLinear" and list(one.output) == ["sum"]
    )
    node.input[1] = "data/scale"
    onnx.save(model, path)
    assert not converter.verify(net, path, inputs={"data": samples()[:2]}).passed


def test_each_layer_is_measured_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, float] = {}
    by_layer = quantize._by_layer
    monkeypatch.setattr(quantize, "_by_layer", lambda *a: found.update(by_layer(*a)) or found)
    exported(load(tmp_path), tmp_path / "net.onnx")
    assert {"conv1/scale", "left", "back", "sum", "scores"} <= found.keys()
    assert all(20 < found[name] < 70 for name in ("conv1/scale", "left", "back", "sum", "scores"))


def test_layers_that_eight_bits_do_harm_to_stay_float32(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net, path = load(tmp_path), tmp_path / "net.onnx"
    monkeypatch.setattr(quantize, "_by_layer", lambda *_: {"left": 12.0, "back": 50.0})
    graph, notes = exported(net, path)
    assert "in float32 by measurement: left (12 dB by itself)" in notes
    names = {one.name for one in graph.initializer}
    assert "left.weight" in names
    assert "back.weight" not in names
    assert converter.verify(net, path, inputs={"data": samples()[:2]}).passed


def test_more_layers_stay_float32_where_the_outputs_are_far_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = {"left": 24.0, "right": 29.0, "back": 50.0}
    monkeypatch.setattr(quantize, "_by_layer", lambda *_: measured)
    monkeypatch.setattr(quantize, "LEAST_OUTPUT", 200.0)
    monkeypatch.setattr(quantize, "_better", lambda *_: True)
    _, notes = exported(load(tmp_path), tmp_path / "net.onnx")
    (said,) = (note for note in notes if "by measurement" in note)
    assert "left (24 dB by itself)" in said
    assert "back" not in said
    worse = dict.fromkeys((*measured, "conv1/scale", "scores"), 5.0)
    monkeypatch.setattr(quantize, "_by_layer", lambda *_: worse)
    with pytest.raises(UnsupportedError, match="eight bits do harm to every layer"):
        exported(load(tmp_path), tmp_path / "net.onnx")


@pytest.mark.parametrize("method", ["minmax", "entropy", "percentile"])
def test_each_way_of_calibrating(
    tmp_path: Path, method: str, capsys: pytest.CaptureFixture[str]
) -> None:
    net, path = load(tmp_path), tmp_path / "net.onnx"
    _, notes = exported(net, path, calibration(method=method))
    assert any(f"their ranges by {method} of 6 batches" in note for note in notes)
    assert capsys.readouterr().out == ""
    exact = run_onnx(path, {"data": samples()})["prob"]
    ours = net({"data": torch.from_numpy(samples())})["prob"].detach().numpy()
    assert (exact.argmax(1) == ours.argmax(1)).mean() >= 0.8


def test_signed_activations(tmp_path: Path) -> None:
    net, path = load(tmp_path), tmp_path / "net.onnx"
    exported(net, path, calibration(signed=True))
    found = int8_model(OnnxModel(path))
    assert found is not None
    assert {(one.zero.dtype.name, int(one.zero)) for one in found.roundings.values()} == {
        ("int8", 0)
    }
    assert converter.verify(net, path, inputs={"data": samples()[:2]}).passed


@pytest.mark.parametrize(
    ("near", "far", "parts", "splits"),
    [
        pytest.param(2, 2, 4, 1, id="of 32 channels as they are"),
        pytest.param(4, 4, 4, 1, id="of 16 joined to 32"),
        pytest.param(8, 8, 8, 1, id="of 8 joined to 16"),
        pytest.param(16, 16, 8, 1, id="of 4 joined to 16"),
        pytest.param(4, 8, 6, 2, id="of 16 and of 8"),
        pytest.param(32, 32, 2, 0, id="of 2 stay together"),
    ],
)
def test_groups_of_an_optimised_network_are_convolutions_of_their_own(
    tmp_path: Path, near: int, far: int, parts: int, splits: int
) -> None:
    text = (
        INPUT
        + convolution("wide", "data", 64, 3)
        + convolution("near", "wide", 64, 3, f"group: {near} bias_term: false")
        + layer("near/relu", "ReLU", "near", "near")
        + convolution("far", "wide", 64, 5, f"group: {far}")
        + layer("sum", "Eltwise", "near far", "sum")
        + convolution("last", "sum", 4)
    )
    net, path = load(tmp_path, text), tmp_path / "net.onnx"
    graph, notes = exported(net.optimize(channels_last=False), path)
    joined = "joined the small groups of 2 convolutions, zeros between them"
    assert (joined in notes) == (near in (4, 8, 16))
    own = "the groups of 2 convolutions are convolutions of their own"
    assert (own in notes) == (splits > 0)
    kinds = [node.op_type for node in graph.node]
    assert kinds.count("Conv") == 2 + parts
    assert kinds.count("Split") == splits  # both read what one has taken apart
    assert converter.verify(net, path, inputs={"data": samples()[:2]}).passed
    graph, notes = exported(net.optimize(channels_last=False), path, target="openvino")
    assert sum(node.op_type == "Conv" for node in graph.node) == 4
    assert joined not in notes


def test_openvino_adds_to_products_that_are_not_rounded(tmp_path: Path) -> None:
    net, path = load(tmp_path), tmp_path / "net.onnx"
    exported(net, path, target="openvino")
    found = int8_model(OnnxModel(path))
    assert found is not None
    assert "back" not in found.roundings
    assert {"sum", "pool1"} <= found.roundings.keys()
    joined = {"left", "right", "both"}
    zeros = {name: one.zero for name, one in found.roundings.items() if name not in joined}
    assert {int(zero) for zero in zeros.values()} == {0}
    assert zeros["data"].dtype == np.int8
    assert zeros["pool1"].dtype == np.uint8  # it is not below 0
    assert converter.verify(net, path, inputs={"data": samples()[:2]}).passed


@pytest.mark.parametrize("signed", [False, True])
def test_openvino_joins_unsigned_numbers(tmp_path: Path, signed: bool) -> None:
    text = (
        INPUT
        + convolution("left", "data", 8, 3)
        + convolution("right", "data", 8, 3)
        + convolution("beside", "right", 4)
        + layer("small", "Pooling", "left", "small", POOL)
        + layer("less", "Pooling", "right", "less", POOL)
        + layer("both", "Concat", "small less", "both")
        + layer("least", "Pooling", "both", "least", POOL)
        + convolution("last", "least", 4)
    )
    net, path = load(tmp_path, text), tmp_path / "net.onnx"
    exported(net, path, calibration(signed=signed), target="openvino")
    found = int8_model(OnnxModel(path))
    assert found is not None
    kinds = {name: one.zero.dtype.name for name, one in found.roundings.items()}
    joined = ("left", "right", "small", "less", "both", "least")
    assert {kinds.pop(name) for name in joined} == {"uint8"}
    assert set(kinds.values()) == {"int8"}
    assert converter.verify(net, path, inputs={"data": samples()[:2]}).passed
    if not get_engine("openvino").lacks():
        in_both = converter.verify(net, path, inputs={"data": samples()[:1]}, engine="openvino")
        assert in_both.passed, in_both


@pytest.mark.parametrize(("kernel", "spelt"), [(12, True), (3, False)])
def test_openvino_gets_prelus_of_one_place_spelt(tmp_path: Path, kernel: int, spelt: bool) -> None:
    wide = f"""convolution_param {{ num_output: 16 kernel_size: {kernel}
        weight_filler {{ type: "msra" }} }}"""
    text = (
        INPUT.replace("dim: [2,", "dim: [1,")
        + layer("conv", "Convolution", "data", "conv", wide)
        + layer("prelu", "PReLU", "conv", "conv", "prelu_param { filler { value: -0.5 } }")
        + convolution("last", "conv", 4)
    )
    net, path = load(tmp_path, text), tmp_path / "net.onnx"
    graph, notes = exported(net, path, target="openvino")
    assert ("PRelu" in [node.op_type for node in graph.node]) is not spelt
    said = "1 PReLUs are spelt as the larger and the smaller than 0"
    assert (said in notes) is spelt
    if not get_engine("openvino").lacks():
        in_both = converter.verify(net, path, inputs={"data": samples()[:1]}, engine="openvino")
        assert in_both.passed, in_both
    assert converter.verify(net, path, inputs={"data": samples()[:1]}).passed
    graph, _ = exported(net, path)
    assert "PRelu" in [node.op_type for node in graph.node]


def test_openvino_gets_strides_as_pools(tmp_path: Path) -> None:
    text = (
        INPUT
        + convolution("first", "data", 8, 3)
        + convolution("half", "first", 4, 1, "stride: 2")
        + convolution("other", "first", 4, 1, "stride: 2")
        + convolution("wide", "first", 4, 3, "stride: 2")
        + layer("sum", "Eltwise", "half other wide", "sum")
        + convolution("last", "sum", 2)
    )
    net, path = load(tmp_path, text), tmp_path / "net.onnx"
    graph, notes = exported(net, path, target="openvino")
    assert "the strides of 2 convolutions are taken by pools before them" in notes
    kinds = [node.op_type for node in graph.node]
    assert (kinds.count("MaxPool"), kinds.count("Conv")) == (1, 5)
    assert converter.verify(net, path, inputs={"data": samples()[:2]}).passed
    graph, notes = exported(net, path)
    assert "MaxPool" not in [node.op_type for node in graph.node]


def test_selections_weigh_each_of_their_branches(tmp_path: Path) -> None:
    from converter.demo.files import NET as DIGITS
    from converter.demo.files import WEIGHTS

    net, path = converter.load(DIGITS, WEIGHTS), tmp_path / "net.onnx"
    digits = np.abs(samples(8, 1, 8, 8))
    given = Calibration([{"data": one[None]} for one in digits])
    graph, notes = exported(net.optimize(channels_last=False), path, given)
    assert "2 selections weigh each of their branches" in notes
    assert sum(node.op_type == "Mul" for node in graph.node) == 4
    assert converter.verify(net, path, inputs={"data": digits}).passed


def test_the_command_converts_verifies_and_times(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = load(tmp_path)
    files = [str(tmp_path / "net.prototxt"), str(tmp_path / "net.safetensors")]
    converter.save_caffemodel(net, tmp_path / "net.caffemodel")
    files[1] = str(tmp_path / "net.caffemodel")
    np.savez(tmp_path / "x.npz", data=samples())
    out = tmp_path / "out"
    words = ["--dtype", "int8", "--calibrate", str(tmp_path / "x.npz")]
    assert main(["convert", *files, "-o", str(out), *words]) == 0
    said = capsys.readouterr().out
    assert "in eight bits, their ranges by minmax of 6 batches" in said
    assert "on the calibration data 'prob' has a signal-to-noise ratio of" in said
    assert "safetensors: as without --calibrate" in said
    report = json.loads((out / "report.json").read_text())
    assert report["dtype"] == "int8"
    assert {one["measure"] for one in report["comparisons"]} == {"noise"}
    assert main(["verify", *files, str(out / "net.onnx")]) == 0
    assert main(["verify", *files, "--dtype", "int8"]) == 0
    capsys.readouterr()
    assert main(["bench", *files, "--dtype", "int8", "--batch", "1", "--rounds", "1"]) == 0
    assert "ONNX Runtime, optimized, int8" in capsys.readouterr().out


def test_a_model_that_takes_images(tmp_path: Path) -> None:
    load(tmp_path)
    np.savez(tmp_path / "x.npz", data=samples() * 50)
    report = converter.convert(
        tmp_path / "net.prototxt",
        None,
        tmp_path / "out",
        formats=["onnx"],
        dtype="int8",
        calibrate=tmp_path / "x.npz",
        embed_preprocessing=True,
        preprocessing={"mean": "104,117,123", "channels": "BGR"},
    )
    assert report.passed, report
    assert OnnxModel(tmp_path / "out/net.onnx").inputs.image == "image"


def test_weights_whose_outputs_are_their_second_axis(tmp_path: Path) -> None:
    filler = "weight_filler { type: 'xavier' }"
    param = f"inner_product_param {{ num_output: %d {filler} %s }}"
    text = (
        INPUT
        + layer("ip", "InnerProduct", "data", "ip", param % (7, "transpose: true"))
        + layer("relu", "ReLU", "ip", "ip")
        + layer("last", "InnerProduct", "ip", "last", param % (5, ""))
    )
    net, path = load(tmp_path, text), tmp_path / "net.onnx"
    graph, _ = exported(net, path)
    made_by = makers(graph.node)
    axes = {name: made_by[name].attribute[0].i for name in ("ip.weight", "last.weight")}
    assert axes == {"ip.weight": 1, "last.weight": 0}
    sizes = {one.name: list(one.dims) for one in graph.initializer}
    assert (sizes["ip.weight/scale"], sizes["last.weight/scale"]) == ([7], [5])
    assert converter.verify(net, path, inputs={"data": samples()[:2]}).passed


def test_a_fixed_batch_is_filled(tmp_path: Path) -> None:
    net, path = load(tmp_path), tmp_path / "net.onnx"
    _, notes = exported(net, path, calibration(5), dynamic=())
    assert any("by minmax of 3 batches" in note for note in notes)


def convert(folder: Path, **options: Any) -> None:
    load(folder)
    converter.convert(folder / "net.prototxt", None, folder / "out", **options)


@pytest.mark.parametrize(
    ("arrays", "error", "match"),
    [
        ({"other": samples(), "data2": samples()}, FormatError, "no array 'data', which the net"),
        ({"data": samples(2, 3, 10, 12)}, ShapeError, "2 x 3 x 10 x 12, the network takes 2 x 3"),
        ({"data": samples() * np.nan}, FormatError, r"nan at \[0, 0, 0, 0\], wants finite numbers"),
        ({"data": np.float32(1)}, FormatError, "'data' holds no samples"),
    ],
)
def test_data_that_do_not_fit(
    tmp_path: Path, arrays: dict[str, np.ndarray], error: type[CaffeError], match: str
) -> None:
    np.savez(tmp_path / "x.npz", **arrays)
    with pytest.raises(error, match=match):
        convert(tmp_path, dtype="int8", calibrate=tmp_path / "x.npz")


def test_what_is_asked_for_in_vain(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", data=samples())
    data = tmp_path / "x.npz"
    with pytest.raises(UsageError, match="eight bits need data that show the values' ranges"):
        convert(tmp_path, dtype=torch.int8)
    with pytest.raises(UsageError, match="--calibrate is for a model of eight bits"):
        convert(tmp_path, calibrate=data)
    with pytest.raises(UsageError, match="--calibration-method is for a model of eight bits"):
        convert(tmp_path, calibration_method="entropy")
    with pytest.raises(UsageError, match="for the format onnx alone"):
        convert(tmp_path, dtype="int8", formats=["safetensors"])
    with pytest.raises(UsageError, match="'best' is unknown"):
        convert(tmp_path, dtype="int8", calibrate=data, calibration_method="best")
    with pytest.raises(UsageError, match="nothing to calibrate on"):
        Calibration([])
    net = load(tmp_path)
    with pytest.raises(UnsupportedError, match="of half precision or of eight bits"):
        converter.export_onnx(net, tmp_path / "x.onnx", half=True, calibration=calibration())
    newest = NEWEST_OPSET + 1
    with pytest.raises(UnsupportedError, match="no eight bits of opset"):
        converter.export_onnx(net, tmp_path / "x.onnx", calibration=calibration(), opset=newest)
    with pytest.raises(UnsupportedError, match="eight bits are made of float32"):
        converter.export_onnx(net.double(), tmp_path / "x.onnx", calibration=calibration())
    pools = load(tmp_path, INPUT + layer("pool", "Pooling", "data", "pool", POOL))
    with pytest.raises(UnsupportedError, match="nothing to compute in eight bits"):
        converter.export_onnx(pools, tmp_path / "x.onnx", calibration=calibration())
