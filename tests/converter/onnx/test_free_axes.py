"""Which axes are free: none along which a file's answers cannot be told apart."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import converter
from converter.onnx.free_axes import with_free_axes
from prototxt.errors import ShapeError, UnsupportedError

INPUT = """layer { name: "in" type: "Input" top: "x"
  input_param { shape { dim: 1 dim: 4 dim: 6 dim: 6 } } }
layer { name: "c" type: "Convolution" bottom: "x" top: "c"
  convolution_param { num_output: 8 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "p" type: "Permute" bottom: "c" top: "p"
  permute_param { order: 0 order: 2 order: 3 order: 1 } }
"""
RESHAPE = """layer { name: "r" type: "Reshape" bottom: "p" top: "boxes"
  reshape_param { shape { %s } } }"""
MIXES = "dim: 1 dim: -1 dim: 4"
KEEPS = "dim: 0 dim: -1 dim: 4"


def written(folder: Path, dims: str) -> Path:
    path = folder / "net.prototxt"
    path.write_text(INPUT + RESHAPE % dims)
    return path


def batch_of(path: Path) -> list[str | int]:
    model = onnx.load(path)
    dims = [
        value.type.tensor_type.shape.dim[0] for value in (*model.graph.input, *model.graph.output)
    ]
    return [dim.dim_param or dim.dim_value for dim in dims]


def test_a_layer_that_puts_all_images_into_one_fixes_the_batch(tmp_path):
    report = converter.convert(written(tmp_path, MIXES), None, tmp_path / "out", formats=["onnx"])
    assert report.passed
    assert batch_of(tmp_path / "out" / "net.onnx") == [1, 1]
    said = "layer 'r' (Reshape): it puts all images into one: 1 x 32 x 4 becomes 1 x 64 x 4"
    assert any("the batch of net.onnx is fixed" in note and said in note for note in report.notes)


def test_asked_for_it_is_refused(tmp_path):
    net = converter.load(written(tmp_path, MIXES))
    with pytest.raises(
        ShapeError, match=r"layer 'r' \(Reshape\): it puts all images into one"
    ) as e:
        converter.export_onnx(net, tmp_path / "net.onnx", dynamic=("batch",))
    assert e.value.fix == "export with fewer dynamic axes, or none"


def test_other_errors_fix_the_batch_only_where_nobody_asked_for_it():
    def make(axes):
        if axes:
            raise UnsupportedError("an engine wants known sizes")
        return "made"

    made, fixed = with_free_axes(None, make)
    assert (made, list(fixed)) == ("made", ["batch"])
    with pytest.raises(UnsupportedError, match="an engine wants known sizes"):
        with_free_axes(["batch"], make)


def test_a_reshape_that_keeps_the_images_apart_leaves_the_batch_free(tmp_path):
    converter.convert(written(tmp_path, KEEPS), None, tmp_path / "out", formats=["onnx"])
    assert batch_of(tmp_path / "out" / "net.onnx") == ["batch", "batch"]


def test_an_axis_that_moves_is_not_mixed(tmp_path):
    path = tmp_path / "net.prototxt"
    path.write_text(
        """layer { name: "in" type: "Input" top: "x" input_param { shape { dim: 2 dim: 6 } } }
layer { name: "r" type: "Reshape" bottom: "x" top: "y"
  reshape_param { shape { dim: 1 dim: -1 dim: 6 } } }"""
    )
    net = converter.load(path)
    converter.export_onnx(net, tmp_path / "net.onnx")
    x = np.arange(30, dtype=np.float32).reshape(5, 6)
    assert batch_of(tmp_path / "net.onnx")[0] == "batch"
    assert converter.verify(net, tmp_path / "net.onnx", inputs={"x": x}).passed
