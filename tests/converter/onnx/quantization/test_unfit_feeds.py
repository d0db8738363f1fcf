"""Feeds that no range can be told from, each refused or named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import converter
from converter.onnx.options import METHODS
from converter.onnx.quantization import calibration
from converter.onnx.quantization.calibration import Calibration
from prototxt.errors import UnsupportedError
from tests.support.definitions import convolution, layer

INPUT = layer("data", "Input", "", "data", "input_param { shape { dim: [1, 3, 8, 8] } }")
NET = INPUT + convolution("conv", "data", 8, 3) + convolution("last", "conv", 4)
LOG = layer("log", "Log", "last", "log")


def exported(folder: Path, text: str, feeds: list[np.ndarray], method: str) -> list[str]:
    (folder / "net.prototxt").write_text(text)
    given = Calibration([{"data": one} for one in feeds], method)
    net = converter.load(folder / "net.prototxt")
    return converter.export_onnx(net, folder / "net.onnx", calibration=given).notes


def feed() -> np.ndarray:
    return np.random.default_rng(1701).standard_normal((1, 3, 8, 8)).astype(np.float32)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_one_value_that_is_not_finite(tmp_path: Path, method: str, broken: float) -> None:
    x = feed()
    x[0, 1, 2, 3] = broken
    with pytest.raises(UnsupportedError, match="the calibration data's 'data' is not finite in ba"):
        exported(tmp_path, NET, [feed(), x, feed()], method)


@pytest.mark.parametrize("method", METHODS)
def test_an_inner_value_that_is_not_finite(tmp_path: Path, method: str) -> None:
    with pytest.raises(UnsupportedError, match=r"'conv' reaches from .* on the calibration data"):
        exported(tmp_path, NET, [feed() * np.float32(1e38)], method)


@pytest.mark.parametrize("method", METHODS)
def test_an_output_that_is_not_finite(tmp_path: Path, method: str) -> None:
    with pytest.raises(UnsupportedError, match="in float32 too 'log' is not finite on the calib"):
        exported(tmp_path, NET + LOG, [feed()], method)


def test_a_histogram_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured = calibration._measured

    def failing(model, operators, given):
        if given.method == "entropy":
            raise ValueError("Too many bins")
        return measured(model, operators, given)

    monkeypatch.setattr(calibration, "_measured", failing)
    said = "entropy finds no ranges on the calibration data: Too many bins\n  fix: .*method minmax"
    with pytest.raises(UnsupportedError, match=said):
        exported(tmp_path, NET, [feed()], "entropy")


def test_what_is_always_0_is_named(tmp_path: Path) -> None:
    notes = exported(tmp_path, NET, [feed() * 0], "minmax")
    said = "0 throughout on the calibration data, so of unknown range: data"
    assert said in notes
    assert not any("0 throughout" in one for one in exported(tmp_path, NET, [feed()], "minmax"))
