"""Intel Caffe's layers of eight bits, by the scales that its files have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

import converter
from converter.onnx.model import OnnxModel
from converter.onnx.quantization.file_scales import scales_of
from converter.verification.fewer_bits.int8_model import int8_model
from prototxt.errors import UnsupportedError, UsageError
from tests.support.definitions import convolution, layer

INPUT = layer("data", "Input", "", "data", "input_param { shape { dim: [2, 3, 8, 8] } }")
POOL = "pooling_param { pool: MAX kernel_size: 2 stride: 2 }"
NET = (
    INPUT
    + convolution("first", "data", 4, 3)
    + layer("cut", "ReLU", "first", "first")
    + layer("pool", "Pooling", "first", "pool", POOL)
    + convolution("second", "pool", 4, 3)
    + convolution("third", "second", 4)
    + layer("sum", "Eltwise", "third pool", "sum")
    + convolution("last", "sum", 2)
)
SCALES = {"first": (30, 20, True), "second": (20, 9, False), "third": (9, 9, True)}


def quantization(weight: np.ndarray, source: float, target: float, negative: bool) -> str:
    channels = 127 / np.abs(weight).max((1, 2, 3))
    params = " ".join(f"scale_params: {one:.9g}" for one in channels)
    return (
        f"quantization_param {{ bw_layer_in: 8 bw_layer_out: 8 bw_params: 8 scale_in: {source} "
        f"scale_out: {target} {params} {'is_negative_input: true' if negative else ''} }}"
    )


def written(folder: Path, scales: dict[str, tuple[float, float, bool]] = SCALES) -> Path:
    """Write a network with its weights, and the scales that they have."""
    path, weights = folder / "net.prototxt", folder / "net.caffemodel"
    path.write_text(NET)
    net = converter.load(path)
    converter.save_caffemodel(net, weights)
    text = NET
    for name, (source, target, negative) in scales.items():
        said = quantization(net.params[name][0].detach().numpy(), source, target, negative)
        at = text.index(f'name: "{name}"')
        text = text[:at] + said + " " + text[at:]
    path.write_text(text)
    return path


def load(path: Path) -> converter.CaffeNet:
    return converter.load(path, path.with_suffix(".caffemodel"), dialect="intel")


def images() -> np.ndarray:
    return np.random.default_rng(1701).standard_normal((2, 3, 8, 8)).astype(np.float32)


def test_the_files_scales_are_the_pairs(tmp_path: Path) -> None:
    net, path = load(written(tmp_path)), tmp_path / "net.onnx"
    assert any("--dtype int8" in note for note in net.notes)
    graph = converter.export_onnx(net, path, file_scales=True)
    assert "5 layers compute in eight bits, with the file's own scales" in graph.notes
    said = "in float32, since the file says no scales of theirs: last"
    assert said in graph.notes
    found = int8_model(OnnxModel(path))
    assert found is not None
    rounded = {name: (float(one.scale), one.zero) for name, one in found.roundings.items()}
    assert {name: zero.dtype.name for name, (_, zero) in rounded.items()} == {
        "data": "int8",
        "first": "uint8",
        "pool": "uint8",
        "second": "int8",
    }  # what the Eltwise reads is not rounded
    assert {int(zero) for _, zero in rounded.values()} == {0}
    steps = [rounded[name][0] for name in ("data", "first", "pool", "second")]
    assert steps == pytest.approx([1 / 30, 1 / 20, 1 / 20, 1 / 9])
    arrays = {one.name: numpy_helper.to_array(one) for one in onnx.load(path).graph.initializer}
    weight = net.params["second"][0].detach().numpy()
    inverse = np.array(net.steps[4].layer.quantization_param.scale_params)[:, None, None, None]
    np.testing.assert_array_equal(arrays["second.weight/eight"], np.round(weight * inverse))
    report = converter.verify(net, path, inputs={"data": images()})
    assert report.passed, report
    exact = net({"data": torch.from_numpy(images())})["last"].detach().numpy()
    got = OnnxModel(path).run({"data": images()})["last"]
    assert 0 < np.abs(got - exact).max() < 0.1 * np.abs(exact).max()


def test_an_input_that_two_round_otherwise(tmp_path: Path) -> None:
    scales = SCALES | {"third": (10.0, 9.0, True)}
    net = load(written(tmp_path, scales))
    graph = converter.export_onnx(net, tmp_path / "net.onnx", file_scales=True)
    assert any("no scales of theirs: last" in note for note in graph.notes)
    found = int8_model(OnnxModel(tmp_path / "net.onnx"))
    assert found is not None
    assert float(found.roundings["second"].scale) == pytest.approx(1 / 10)  # as it is read
    assert converter.verify(net, tmp_path / "net.onnx", inputs={"data": images()}).passed


def test_convert_takes_them_where_no_data_are_given(tmp_path: Path) -> None:
    path = written(tmp_path)
    files = (path, path.with_suffix(".caffemodel"))
    report = converter.convert(*files, tmp_path / "out", dtype="int8", dialect="intel")
    assert report.passed, report
    assert report.dtype == "int8"
    assert any("with the file's own scales" in note for note in report.notes)
    np.savez(tmp_path / "x.npz", data=images())
    report = converter.convert(
        *files, tmp_path / "measured", dtype="int8", dialect="intel", calibrate=tmp_path / "x.npz"
    )
    assert any("their ranges by minmax" in note for note in report.notes)


def test_files_without_scales(tmp_path: Path) -> None:
    path = written(tmp_path, {})
    net = load(path)
    assert scales_of(net) == {}
    with pytest.raises(UnsupportedError, match="file has no scales of eight bits"):
        converter.export_onnx(net, tmp_path / "net.onnx", file_scales=True)
    with pytest.raises(UsageError, match="eight bits need data"):
        converter.convert(path, None, tmp_path / "out", dtype="int8")
