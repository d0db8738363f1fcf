"""Networks whose blobs memory does not hold: what is said, and what needs no memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import converter
from converter.__main__ import main
from prototxt import ShapeError, UnsupportedError, WeightError

INPUT = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [1, 3, 2000, 9] } } }'
VAST = {
    "InnerProduct": "inner_product_param { num_output: 2000000000 }",
    "Convolution": "convolution_param { num_output: 2000000000 kernel_size: [999, 8] }",
    "Deconvolution": "convolution_param { num_output: 2000000000 kernel_size: [999, 8] }",
    "Embed": "embed_param { num_output: 2000000000 input_dim: 2000 }",
}
RECURRENT = """layer { name: "m" type: "Input" top: "m" input_param { shape { dim: [2000, 9] } } }
layer { name: "t" type: "Input" top: "t" input_param { shape { dim: [2000, 9, 100000] } } }
layer { name: "L" type: "LSTM" bottom: "t" bottom: "m" top: "y"
  recurrent_param { num_output: 300000000 } }"""


def write(folder: Path, layers: str) -> Path:
    path = folder / "net.prototxt"
    path.write_text(f"{INPUT}\n{layers}")
    return path


def vast(folder: Path, kind: str) -> Path:
    return write(folder, f'layer {{ name: "L" type: "{kind}" bottom: "x" top: "y" {VAST[kind]} }}')


@pytest.mark.parametrize("kind", VAST)
def test_show_and_check_need_no_memory_for_weights(kind, tmp_path, capsys):
    path = vast(tmp_path, kind)
    for dtype in ("float32", "float64", "float16"):
        assert main(["check", str(path), "--dtype", dtype]) == 0
    assert main(["show", str(path)]) == 0
    assert capsys.readouterr().err == ""


def test_a_vast_lstm_too(tmp_path):
    assert main(["show", str(write(tmp_path, RECURRENT))]) == 0


@pytest.mark.parametrize("kind", VAST)
def test_what_memory_does_not_hold_is_named_with_its_bytes(kind, tmp_path, capsys):
    path = vast(tmp_path, kind)
    assert main(["convert", str(path), "-o", str(tmp_path / "out")]) == 1
    said = capsys.readouterr().err
    shape = {"Convolution": "2000000000x3x999x8", "Embed": "2000x2000000000"}
    shape |= {"Deconvolution": "3x2000000000x999x8", "InnerProduct": "2000000000x54000"}
    size = 4
    for part in shape[kind].split("x"):
        size *= int(part)
    assert f"layer 'L' ({kind}): memory does not hold blob 'weight', {shape[kind]}, " in said
    assert f" {size:,} bytes\n  fix: are its sizes those" in said


def test_what_a_layer_computes_may_be_too_much(tmp_path, monkeypatch):
    net = converter.load(write(tmp_path, 'layer { name: "L" type: "ReLU" bottom: "x" top: "y" }'))
    monkeypatch.setattr(net.layers["L"], "forward", lambda x: torch.empty(10**15))
    with pytest.raises(UnsupportedError, match=r"layer 'L' \(ReLU\): memory does not hold what"):
        net(torch.zeros(1, 3, 2000, 9))


SMALL = """layer { name: "L" type: "InnerProduct" bottom: "x" top: "y"
  inner_product_param { num_output: 2 weight_filler { type: "%s" } } }"""


def test_a_weightless_network_has_the_shapes_of_another(tmp_path):
    path = write(tmp_path, SMALL % "xavier")
    for dtype in (torch.float32, torch.float64, torch.float16):
        net = converter.load(path, dtype=dtype, weightless=True)
        full = converter.load(path, dtype=dtype)
        assert net.shapes() == full.shapes()
        assert net.dtype == full.dtype
        assert net.loaded == full.loaded
        assert {tuple(b.shape) for b in net.params["L"]} == {(2, 54000), (2,)}
        assert not any(any(blob.stride()) for blob in net.params["L"])


def test_weights_that_are_given_are_loaded(tmp_path):
    path = write(tmp_path, SMALL % "xavier")
    converter.save_caffemodel(converter.load(path), tmp_path / "net.caffemodel")
    net = converter.load(path, tmp_path / "net.caffemodel", weightless=True)
    assert net.params["L"][0].any()


def test_what_load_refuses_is_refused_without_memory_too(tmp_path):
    path = write(tmp_path, SMALL % "bilinear")
    with pytest.raises(ShapeError, match="a bilinear filler wants a 4-D blob") as wanted:
        converter.load(path)
    with pytest.raises(ShapeError) as caught:
        converter.load(path, weightless=True)
    assert str(caught.value) == str(wanted.value)
    with pytest.raises(WeightError):
        converter.load(path, weightless=True, require_weights=True)
