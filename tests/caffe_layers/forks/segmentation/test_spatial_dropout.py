"""ENet's spatial dropout: whole maps go, and the rest is scaled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import converter
from prototxt import CaffeError
from tests.support.opsets import OPSETS
from tests.support.restated import check, load

X = {"x": np.random.default_rng(1701).uniform(1, 2, size=(3, 40, 2, 3))}


def layer(param: str) -> str:
    return (
        'layer { name: "L" type: "Python" bottom: "x" top: "y" python_param { '
        f'module: "spatial_dropout" layer: "SpatialDropoutLayer" param_str: "{param}" }} }}'
    )


def test_another_phase_scales(tmp_path: Path) -> None:
    check(layer("{'phase': 'TEST', 'p': '0.1'}"), X, {"y": X["x"] / 0.9}, tmp_path)


@pytest.mark.parametrize("phase", ["TEST", "TRAIN"])
def test_whole_maps_are_dropped(phase: str, tmp_path: Path) -> None:
    net = load(layer("{'phase': 'TRAIN', 'p': '0.25'}"), X, tmp_path, phase=phase)
    x = torch.from_numpy(X["x"])
    tops = [net({"x": x})["y"].numpy()]
    for opset in OPSETS:
        single = load(layer("{'phase': 'TRAIN', 'p': '0.25'}"), X, tmp_path, dtype=torch.float32)
        converter.export_onnx(single, tmp_path / "net.onnx", opset=opset)
        path = tmp_path / "net.onnx"
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        tops += session.run(None, {"x": X["x"].astype(np.float32)})
    for top in tops:
        factor = top / X["x"]
        kept = factor[:, :, 0, 0] > 0
        assert np.abs(factor - np.where(kept, 4 / 3, 0)[:, :, None, None]).max() < 1e-6
        assert 60 < kept.sum() < 115  # of 120 maps, 90 in the mean


@pytest.mark.parametrize(
    ("param", "message"),
    [
        ("{'phase': 'TRAIN', 'p': 1}", "p 1.0 wants to be above 0 and below 1"),
        ("{'phase': 'TRAIN', 'p': 'much'}", "p 'much' is no number"),
        ("{'p': 0.5}", "wants p and phase"),
    ],
)
def test_refused(param: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=message):
        load(layer(param), X, tmp_path)
