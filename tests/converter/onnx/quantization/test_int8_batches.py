"""What models of eight bits are verified on: other batches, fixed ones, and noise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import converter
from converter.onnx.model import OnnxModel
from converter.verification.other_sizes import _more
from tests.support.definitions import convolution, layer

INPUT = "input_param { shape { dim: [%d, 3, 8, 8] } }"


def converted(folder: Path, batch: int, *, scale: float = 1, **options: Any) -> converter.Report:
    """Convert a small network, calibrated on five seeded samples of a scale."""
    text = (
        layer("data", "Input", "", "data", INPUT % batch)
        + convolution("conv", "data", 8, 3)
        + layer("relu", "ReLU", "conv", "conv")
        + convolution("last", "conv", 4)
    )
    (folder / "net.prototxt").write_text(text)
    random = np.random.default_rng(1701)
    data = scale * random.standard_normal((5, 3, 8, 8)).astype(np.float32)
    np.savez(folder / "x.npz", data=data)
    return converter.convert(
        folder / "net.prototxt",
        None,
        folder / "out",
        formats=["onnx"],
        dtype="int8",
        calibrate=folder / "x.npz",
        **options,
    )


def test_another_batch_is_fed_what_ranges_were_measured_for(tmp_path: Path) -> None:
    """Noise is far beyond the ranges here, and nothing of it is left."""
    report = converted(tmp_path, 1, scale=1e-3)
    assert report.passed, report
    (grown,) = (one for one in report.comparisons if "with another size" in one.title)
    assert max(row.error for row in grown.rows) < 0.1


def test_noise_that_proves_nothing_is_said_to(tmp_path: Path) -> None:
    converted(tmp_path, 1, scale=1e-3)
    net, path = converter.load(tmp_path / "net.prototxt"), tmp_path / "out/net.onnx"
    advice = "which proves nothing: feed (--input) what the model is made for"
    report = converter.verify(net, path)
    assert advice in report.comparisons[0].title
    with np.load(tmp_path / "x.npz") as made_for:
        report = converter.verify(net, path, inputs={"data": made_for["data"]})
    assert report.passed, report
    assert advice not in str(report)


@pytest.mark.parametrize("batch", [3, 8])
def test_a_fixed_batch_is_verified_on_as_many_samples(tmp_path: Path, batch: int) -> None:
    report = converted(tmp_path, batch, dynamic=())
    assert report.passed, report
    assert OnnxModel(tmp_path / "out/net.onnx").inputs.shapes["data"] == (batch, 3, 8, 8)


def test_more_of_what_was_fed() -> None:
    image = torch.arange(6.0).reshape(1, 1, 2, 3)
    more = _more(image, (2, 1, 2, 4))
    assert more[0, 0].tolist() == [[0, 1, 2, 0], [3, 4, 5, 3]]
    assert more[1, 0].tolist() == [[0, 0.5, 1, 0], [1.5, 2, 2.5, 1.5]]
    assert _more(image, (1, 1, 1, 2)).tolist() == [[[[0, 1]]]]
    assert _more(torch.tensor([[1, 2]]), (2, 2)).tolist() == [[1, 2], [1, 2]]
    assert _more(torch.tensor(3), ()) == 3
