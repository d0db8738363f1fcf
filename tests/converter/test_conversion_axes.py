"""An axis along which one size alone is right is fixed by `convert`, which says who asks for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

import converter
from converter.onnx.quantization.calibration import Calibration
from converter.verification.report import Report
from prototxt.errors import UnsupportedError

NET = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [%d, 3, 8, 8] } } }
layer { name: "conv" type: "Convolution" bottom: "data" top: "conv"
  convolution_param { num_output: 2 kernel_size: 3 weight_filler { type: "xavier" } } }
layer { name: "mine" type: "Mine" bottom: "conv" top: "mine" }
layer { name: "relu" type: "ReLU" bottom: "mine" top: "mine" }
"""

MINE = """
from caffe_layers import Layer


class Mine(Layer, type="Mine", bottoms=1, tops=1):
    def shapes(self, x):
        return [{shape}]

    def forward(self, x):
        return {torch}

    def onnx(self, op, x):
        return {onnx}
"""
FLAT = {"shape": "(x[0], x[1] * x[2] * x[3])", "torch": "x.flatten(1)"}
MIXES = {**FLAT, "onnx": "op.Reshape(x, op.ints(op.shape(x)[0], -1))"}
STOPS = {**FLAT, "onnx": "op.Reshape(x, op.ints(op.shape(x)[0], 72))"}
SCALES = {
    "shape": "x",
    "torch": "x / x.shape[2]",
    "onnx": "op.Mul(x, op.scalar(1 / op.shape(x)[2]))",
}


def converted(
    folder: Path, mine: dict[str, str], batch: int = 1, **options
) -> tuple[Report, list[str]]:
    """Convert the network with a layer of this meaning; return what is said of fixed axes too."""
    net, layers = folder / "net.prototxt", folder / "mine.py"
    net.write_text(NET % batch)
    layers.write_text(MINE.format(**mine))
    report = converter.convert(net, None, folder / "out", layers=layers, **options)
    return report, [note for note in report.notes if " is fixed, since a free one fails" in note]


def images(batch: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(batch, 3, 8, 8)).astype(np.float32)


def free_axes(folder: Path) -> list[str]:
    shape = onnx.load(folder / "out" / "net.onnx").graph.input[0].type.tensor_type.shape
    return [dim.dim_param for dim in shape.dim if dim.dim_param]


@pytest.mark.parametrize(("batch", "dynamic"), [(1, None), (1, ("batch",)), (8, None)])
@pytest.mark.parametrize(
    ("mine", "why"),
    [
        (MIXES, "what was written of it makes {batch}x{size}, wants 2x72"),
        (STOPS, "ONNX Runtime does not run what was written of it"),
    ],
)
def test_a_batch_that_a_run_finds_wrong_is_fixed(mine, why, batch, dynamic, tmp_path):
    """Of eight images the network is fed two, which is the other size."""
    report, said = converted(tmp_path, mine, batch, dynamic=dynamic)
    assert said == [
        "the batch of net.onnx is fixed, since a free one fails: with another batch: "
        f"layer 'mine' (Mine): {why.format(batch=batch, size=144 // batch)}"
    ]
    assert report.passed
    assert free_axes(tmp_path) == []
    assert report.notes.count(said[0]) == 1
    assert report.usage is not None
    assert report.usage.inputs[0].shape == (batch, 3, 8, 8)


def test_of_several_axes_the_wrong_one_alone_is_fixed(tmp_path):
    report, (said,) = converted(tmp_path, SCALES, dynamic=("batch", "height", "width"))
    why = "with another height: layer 'mine' (Mine): what was written of it is off by "
    assert said.startswith(f"the height of net.onnx is fixed, since a free one fails: {why}")
    assert report.passed
    assert free_axes(tmp_path) == ["batch", "width"]


def test_an_axis_that_shows_only_where_another_is_fixed_is_fixed_too(tmp_path):
    both = {**FLAT, "torch": "x.flatten(1) / x.shape[2]"}
    both["onnx"] = "op.Mul(op.Reshape(x, op.ints(8, -1)), op.scalar(1 / op.shape(x)[2]))"
    report, said = converted(tmp_path, both, 8, dynamic=("batch", "height"))
    assert [note.split()[1] for note in said] == ["batch", "height"]
    assert report.passed
    assert free_axes(tmp_path) == []


def test_an_axis_that_is_right_stays_free(tmp_path):
    right = {**FLAT, "onnx": "op.Reshape(x, op.ints(0, -1))"}
    report, said = converted(tmp_path, right)
    assert (report.passed, said, free_axes(tmp_path)) == (True, [], ["batch"])


@pytest.mark.parametrize("batch", [1, 8])
def test_what_is_wrong_at_its_own_size_fails_and_is_not_fixed(batch, tmp_path):
    report, said = converted(tmp_path, {**SCALES, "onnx": "op.Mul(x, op.scalar(0.5))"}, batch)
    assert (report.passed, said, free_axes(tmp_path)) == (False, [], ["batch"])


@pytest.mark.parametrize("mine", [MIXES, STOPS])
def test_inputs_that_a_fixed_file_would_not_take_are_a_failure(mine, tmp_path):
    report, said = converted(tmp_path, mine, inputs={"data": images(2)})
    assert (report.passed, said, free_axes(tmp_path)) == (False, [], ["batch"])
    assert report.notes[-1].startswith("with another batch: layer 'mine' (Mine): ")


def test_of_eight_bits_the_batch_is_fixed_too(tmp_path):
    np.savez(tmp_path / "images.npz", data=images(2))
    report, (said,) = converted(
        tmp_path, STOPS, dtype="int8", calibrate=tmp_path / "images.npz", formats=["onnx"]
    )
    assert "with another batch: layer 'mine' (Mine): ONNX Runtime does not run" in said
    assert report.passed
    assert free_axes(tmp_path) == []


def test_a_file_that_does_not_run_on_the_calibration_data_is_refused(tmp_path):
    converted(tmp_path, STOPS, formats=["safetensors"])
    net = converter.load(tmp_path / "net.prototxt", layers=tmp_path / "mine.py")
    with pytest.raises(UnsupportedError, match="calibration: ONNX Runtime stops within the model"):
        converter.export_onnx(
            net,
            tmp_path / "net.onnx",
            dynamic=("batch",),
            calibration=Calibration([{"data": images(2)}]),
        )


FIXED = """
layer { name: "data" type: "Input" top: "data" input_param { shape { dim: [1, 2, 4, 4] } } }
layer { name: "r" type: "Reshape" bottom: "data" top: "r"
  reshape_param { shape { dim: 0 dim: 2 dim: 16 } } }
"""


def test_an_axis_that_the_definition_fixes_is_fixed_where_it_is_asked_for(tmp_path):
    (tmp_path / "net.prototxt").write_text(FIXED)
    report = converter.convert(
        tmp_path / "net.prototxt",
        None,
        tmp_path / "out",
        formats=["onnx", "pt2"],
        dynamic=("batch", "height"),
    )
    assert report.passed
    assert free_axes(tmp_path) == ["batch"]
    for name in ("net.onnx", "net.pt2"):
        begin = f"the height of {name} is fixed, since a free one fails: with another height: "
        assert any(note.startswith(f"{begin}layer 'r' (Reshape)") for note in report.notes), name


def test_what_is_wrong_beside_a_fixed_batch_is_what_is_said(tmp_path):
    text = FIXED.replace("dim: 0 dim: 2 dim: 16", "dim: 1 dim: -1")
    other = 'layer { name: "s" type: "ReLU" bottom: "data" top: "s" }'
    (tmp_path / "net.prototxt").write_text(text + other)
    with pytest.raises(UnsupportedError, match="softmax wants one output, the network has 2"):
        converter.convert(tmp_path / "net.prototxt", None, tmp_path / "out", softmax=True)
