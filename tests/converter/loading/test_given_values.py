"""What callers give `load` and networks in other forms than those of the signatures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import converter
from converter.__main__ import main

NET = """layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 3 } } }
layer { name: "fc" type: "InnerProduct" bottom: "x" top: "y" inner_product_param { num_output: 4 } }
layer { name: "d" type: "Dropout" bottom: "y" top: "z" include { stage: "deploy" } }"""


@pytest.fixture
def net(tmp_path: Path) -> Path:
    path = tmp_path / "net.prototxt"
    path.write_text(NET)
    return path


@pytest.mark.parametrize("files", [("nope.prototxt",), (None, "nope.caffemodel")])
def test_a_file_that_is_not_there(files, net):
    files = [file or net for file in files]
    with pytest.raises(converter.UsageError, match=r"nope.*: No such file or directory") as caught:
        converter.load(*files)
    assert isinstance(caught.value, FileNotFoundError)


def test_a_folder_for_a_file(tmp_path):
    with pytest.raises(converter.UsageError, match="Is a directory"):
        converter.load(tmp_path)


def test_a_phase_in_small_letters(net):
    assert converter.load(net, phase="train").phase == "TRAIN"
    with pytest.raises(converter.UsageError, match="phase 'val' wants TRAIN or TEST"):
        converter.load(net, phase="val")


@pytest.mark.parametrize("dtype", ["float64", "torch.float64", np.float64, np.dtype("float64")])
def test_a_type_by_another_name(dtype, net):
    assert converter.load(net, dtype=dtype).dtype == torch.float64


@pytest.mark.parametrize("dtype", ["double precision", torch.int32, "load", 64])
def test_what_is_no_type_of_numbers(dtype, net):
    with pytest.raises(converter.UsageError, match="is no type of a network's numbers"):
        converter.load(net, dtype=dtype)


def test_a_lone_name_is_no_row_of_letters(net):
    assert list(converter.load(net, stages="deploy").layers) == ["in", "fc", "d"]
    assert converter.load(net, end="y").named_outputs == ("y",)
    weights = net.with_suffix(".caffemodel")
    converter.save_caffemodel(converter.load(net), weights)
    with pytest.raises(converter.CaffeError, match="no layer 'nope' to ignore"):
        converter.load(net, weights, ignore="nope")


def test_shapes_as_lists(net):
    assert converter.load(net, input_shapes={"x": [5, 3]}).input_shapes == {"x": (5, 3)}
    with pytest.raises(converter.UsageError, match="the shape of 'x' is '5,3'"):
        converter.load(net, input_shapes={"x": "5,3"})


@pytest.mark.parametrize("given", [np.float64, np.uint8, np.int64, np.float32])
def test_arrays_in_and_arrays_out(given, net):
    loaded = converter.load(net)
    x = np.arange(6).reshape(2, 3).astype(given)
    want = loaded(torch.arange(6.0).reshape(2, 3))["y"]
    for inputs in (x, {"x": x}):
        got = loaded(inputs)
        assert list(got) == ["y"]
        assert got["y"].dtype == np.float32
        assert np.array_equal(got["y"], want.detach().numpy())
        assert np.array_equal(loaded.blobs(inputs)["x"], x)


def test_tensors_stay_tensors(net):
    assert isinstance(converter.load(net)(torch.zeros(2, 3))["y"], torch.Tensor)


@pytest.mark.parametrize("value", [[[0.0] * 3] * 2, np.array(["a"] * 3), None])
def test_what_is_no_input(value, net):
    with pytest.raises(converter.UsageError, match=r"input 'x' is .*, wants a tensor or an array"):
        converter.load(net)({"x": value})


def test_the_command_line_says_the_same(capsys):
    assert main(["show", "nope.prototxt"]) == 1
    assert capsys.readouterr().err == "caffeport: nope.prototxt: No such file or directory\n"


@pytest.mark.parametrize("dtype", [">f4", "<f8", ">i2", "u2", "longdouble"])
def test_arrays_of_any_order_and_width_are_fed(dtype: str, tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text("""
    layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [1, 3] } } }
    layer { name: "y" type: "Power" bottom: "x" top: "y" power_param { scale: 2 } }""")
    net = converter.load(tmp_path / "net.prototxt")
    x = np.arange(3).reshape(1, 3).astype(dtype)
    assert net({"x": x})["y"].tolist() == [[0, 2, 4]]
    assert converter.verify(net, inputs={"x": x}).passed
    with pytest.raises(converter.UsageError, match="wants a tensor or an array of numbers"):
        converter.verify(net, inputs={"x": "x.npy"})
