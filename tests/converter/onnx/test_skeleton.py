"""An ONNX file is read without its large weights, which are mapped where they lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

import converter
from converter.onnx.model import OnnxModel
from prototxt import FormatError

NET = """layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [2, 3, 8, 8] } } }
layer { name: "conv" type: "Convolution" bottom: "x" top: "y"
    convolution_param { num_output: 64 kernel_size: 3 weight_filler { type: "xavier" } } }
"""
X = np.random.default_rng(1701).standard_normal((2, 3, 8, 8)).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "net.prototxt").write_text(NET)
    converter.export_onnx(converter.load(tmp_path / "net.prototxt"), tmp_path / "net.onnx")
    return tmp_path / "net.onnx"


def test_large_weights_stay_in_the_file(path: Path) -> None:
    whole, model = onnx.load(path), OnnxModel(path)
    weight, bias = model.proto.graph.initializer
    assert (weight.name, bias.name) == ("conv.weight", "conv.bias")
    assert not weight.raw_data
    place = {entry.key: entry.value for entry in weight.external_data}
    begin, size = int(place["offset"]), int(place["length"])
    assert place["location"] == "net.onnx"
    assert path.read_bytes()[begin : begin + size] == whole.graph.initializer[0].raw_data
    assert bias == whole.graph.initializer[1]
    for field in ("node", "input", "output", "value_info", "name"):
        assert getattr(model.proto.graph, field) == getattr(whole.graph, field)
    assert model.proto.metadata_props == whole.metadata_props
    assert model.proto.opset_import == whole.opset_import


def test_the_file_runs_with_its_weights(path: Path) -> None:
    net = converter.load(path.with_suffix(".prototxt"))
    weight, bias = onnx.load(path).graph.initializer
    for blob, one in zip(net.params["conv"], (weight, bias), strict=True):
        blob.data.copy_(torch.from_numpy(numpy_helper.to_array(one).copy()))
    want = net.blobs({"x": torch.from_numpy(X)})["y"].detach().numpy()
    np.testing.assert_allclose(OnnxModel(path).run({"x": X})["y"], want, atol=1e-5)


def test_a_link_is_followed(path: Path, tmp_path: Path) -> None:
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "other.onnx"
    link.symlink_to(path)
    assert np.array_equal(OnnxModel(link).run({"x": X})["y"], OnnxModel(path).run({"x": X})["y"])


def test_weights_beside_the_file_stay_there(path: Path, tmp_path: Path) -> None:
    want = OnnxModel(path).run({"x": X})["y"]
    beside = tmp_path / "beside.onnx"
    model = onnx.load(path)
    onnx.save(model, beside, save_as_external_data=True, location="w.bin", size_threshold=1024)
    (weight, _) = OnnxModel(beside).proto.graph.initializer
    assert {entry.key: entry.value for entry in weight.external_data}["location"] == "w.bin"
    assert np.array_equal(OnnxModel(beside).run({"x": X})["y"], want)
    exposed = OnnxModel(beside).run_exposed({"x": X}, ["y"])["y"]
    assert np.array_equal(exposed, OnnxModel(path).run_exposed({"x": X}, ["y"])["y"])


@pytest.mark.parametrize("keep", [10, 300, 3000, -5])
def test_a_cut_off_file_is_no_model(path: Path, keep: int) -> None:
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(FormatError, match="no ONNX model, or a damaged one"):
        OnnxModel(path)
