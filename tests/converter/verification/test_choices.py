"""What layers choose of values a rounding apart is judged as a tie, and as nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import converter
from converter.onnx.model import OnnxModel
from converter.verification import stretches


@pytest.fixture(params=["whole", "step by step"], autouse=True)
def in_stretches(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Verify in one stretch, and in one for each step."""
    if request.param != "whole":
        monkeypatch.setattr(stretches, "LARGEST", 1)


INPUT = 'layer { name: "in" type: "Input" top: "x" input_param { shape { dim: [%s] } } }\n'
SAME = 'layer { name: "p" type: "Power" bottom: "x" top: "p" }\n'
ARGMAX = """layer { name: "best" type: "ArgMax" bottom: "p" top: "best" argmax_param { axis: 1 } }
layer { name: "twice" type: "Power" bottom: "best" top: "twice" power_param { scale: 2 } }"""
PLACES = """layer { name: "pool" type: "Pooling" bottom: "p" top: "pool" top: "places"
  pooling_param { kernel_size: 2 stride: 2 } }"""

Arrays = Mapping[str, np.ndarray]


def nudge(monkeypatch: pytest.MonkeyPatch, by: Arrays, broken: str = "") -> None:
    """Let ONNX Runtime see inputs that are a little off, and get one value wrong."""
    run, walk = OnnxModel.run, OnnxModel.walk

    def moved(inputs: Arrays) -> dict[str, Any]:
        return {name: (value + by[name]).astype(value.dtype) for name, value in inputs.items()}

    def spoilt(values: Arrays) -> dict[str, np.ndarray]:
        return {name: value + 1 if name == broken else value for name, value in values.items()}

    def spoilt_run(self: OnnxModel, inputs: Arrays) -> dict[str, np.ndarray]:
        return spoilt(run(self, moved(inputs)))

    def spoilt_walk(
        self: OnnxModel, inputs: Arrays, stretches: Sequence[Sequence[str]]
    ) -> Iterator[Arrays]:
        yield from map(spoilt, walk(self, moved(inputs), stretches))

    monkeypatch.setattr(OnnxModel, "run", spoilt_run)
    monkeypatch.setattr(OnnxModel, "walk", spoilt_walk)


def load(folder: Path, shape: str, layers: str) -> converter.CaffeNet:
    (folder / "net.prototxt").write_text(INPUT % shape + SAME + layers)
    return converter.load(folder / "net.prototxt")


CLASSES = np.array([[1, 5, 5, 2], [3, 0, 1, 3]], np.float32)
TIE = np.array([[0, 1e-6, 0, 0], [1e-6, 0, 0, 0]], np.float32)
"""Of equal ones Caffe takes the last."""


def test_equal_classes_are_a_tie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = load(tmp_path, "2, 4", ARGMAX)
    nudge(monkeypatch, {"x": TIE})
    report = converter.verify(net, inputs={"x": CLASSES})
    assert report.passed
    text = report.text()
    assert "against torch, which goes on from the model's choices" in text
    assert "  best   2x1  0.00e+00  chosen from the model's own values" in text
    rows = {row.blob: row for row in report.comparisons[1].rows}
    assert rows["best"].content == "choice"
    assert rows["twice"].error == 0
    assert 0 < rows["p"].error < 1e-6


@pytest.mark.parametrize("broken", ["best", "twice", "p"])
def test_what_is_wrong_is_no_tie(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = load(tmp_path, "2, 4", ARGMAX)
    nudge(monkeypatch, {"x": TIE}, broken)
    report = converter.verify(net, inputs={"x": CLASSES})
    assert not report.passed


def test_a_choice_from_values_that_are_wrong_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = load(tmp_path, "2, 4", ARGMAX)
    nudge(monkeypatch, {"x": TIE * 1e5})
    assert not converter.verify(net, inputs={"x": CLASSES}).passed


def test_a_given_tolerance_is_kept_for_ties(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = load(tmp_path, "2, 4", ARGMAX)
    nudge(monkeypatch, {"x": TIE})
    assert converter.verify(net, inputs={"x": CLASSES}, tolerance=1e-4).passed
    assert not converter.verify(net, inputs={"x": CLASSES}, tolerance=1e-8).passed


def test_places_of_equal_maxima_are_a_tie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = load(tmp_path, "1, 1, 2, 4", PLACES)
    x = np.array([[[[1, 1, 2, 0], [0, 1, 2, 2]]]], np.float32)
    by = np.zeros_like(x)
    by[0, 0, 1, 1] = by[0, 0, 1, 3] = 1e-6
    nudge(monkeypatch, {"x": by})
    report = converter.verify(net, inputs={"x": x})
    assert report.passed
    assert "places" in {row.blob for row in report.comparisons[1].rows if row.content == "choice"}
    monkeypatch.undo()
    nudge(monkeypatch, {"x": by}, "places")
    assert not converter.verify(net, inputs={"x": x}).passed
