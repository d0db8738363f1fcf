"""A verification in which nothing could differ says so: no finite value, zeros throughout."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import converter
from converter.verification.compare import Comparison, errors_of
from converter.verification.report import Report

INPUT = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [2, 3, 4, 4] } } }\n'
LOG = 'layer { name: "log" type: "Log" bottom: "x" top: "y" log_param { shift: -1e9 } }\n'
CONV = """layer { name: "conv" type: "Convolution" bottom: "x" top: "y"
  convolution_param { num_output: 4 kernel_size: 3 } }
layer { name: "relu" type: "ReLU" bottom: "y" top: "y" }
"""
SLOPE = "bn_param { slope_filler { type: 'constant' value: 1 } }"
NORMS = {"BatchNorm": "", "SyncBN": SLOPE, "BN": SLOPE}


def written(folder: Path, text: str) -> Path:
    (folder / "net.prototxt").write_text(text)
    return folder / "net.prototxt"


def test_where_nothing_is_finite_nothing_passes(tmp_path: Path) -> None:
    report = converter.verify(converter.load(written(tmp_path, INPUT + LOG)))
    assert not report.passed
    assert report.first_bad is not None
    assert report.first_bad.blob == "y"
    assert "FAILED at 'y': no finite value was compared; 1 blobs" in report.text()
    assert "  y  2x3x4x4  0.00e+00  no finite value was compared" in report.text()
    assert "| y | 2x3x4x4 | 0 | no finite value was compared |" in report.markdown()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_one_finite_value_is_compared(value: float) -> None:
    all_bad = {"y": np.full((2, 2), value)}
    one_good = {"y": np.array([[value, value], [value, 1.0]])}
    nothing = {"y": np.empty(0)}
    for blobs, passes in ((all_bad, False), (one_good, True), (nothing, True)):
        assert Comparison("", errors_of(blobs, blobs, 1e-4)).passed is passes


def test_zeros_throughout_are_said(tmp_path: Path) -> None:
    report = converter.verify(converter.load(written(tmp_path, INPUT + CONV)))
    assert report.passed
    assert "; 2 of them are 0 throughout, which shows little" in report.text()
    assert "  y/by/conv  2x4x2x2  0.00e+00  every value is 0" in report.text()


@pytest.mark.parametrize("kind", NORMS)
def test_untrained_statistics_leave_values_as_large_as_they_were(kind: str, tmp_path: Path) -> None:
    layers = "".join(
        f'layer {{ name: "n{i}" type: "{kind}" bottom: "{b}" top: "n{i}" {NORMS[kind]} }}\n'
        for i, b in enumerate(["x", *(f"n{i}" for i in range(19))])
    )
    net = converter.load(written(tmp_path, INPUT + layers))
    assert net.loaded is not None
    assert net.loaded.drawn == [f"n{i}" for i in range(20)]
    assert "statistics are mean 0 and variance 1 (20 layers)" in Report.of(net).text()
    x = torch.randn(2, 3, 4, 4)
    assert torch.allclose(net(x)["n19"], x, rtol=1e-3)


def test_training_begins_with_the_fillers(tmp_path: Path) -> None:
    net = converter.load(
        written(tmp_path, INPUT + 'layer { name: "n" type: "BatchNorm" bottom: "x" top: "y" }'),
        phase="TRAIN",
    )
    assert net.loaded is not None
    assert net.loaded.drawn == []
    assert [float(blob.sum()) for blob in net.layers["n"].blobs] == [0, 0, 0]
