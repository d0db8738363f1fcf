"""Dropout that draws in tests too does so in ONNX Runtime, whose optimizer likes to drop it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import converter
from tests.support.opsets import OPSETS
from tests.support.restated import load

LAYERS = (
    'layer { name: "A" type: "AbsVal" bottom: "x" top: "a" }\n'
    'layer { name: "L" type: "Dropout" bottom: "a" top: "d" dropout_param { %s } }\n'
    'layer { name: "N" type: "AbsVal" bottom: "d" top: "y" }'
)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("dynamic", [("batch",), ()])
@pytest.mark.parametrize("draws", [True, False])
def test_dropout_between_layers(
    opset: int, dynamic: tuple[str, ...], draws: bool, tmp_path: Path
) -> None:
    x = np.ones((50, 40), np.float32)
    text = LAYERS % f"dropout_ratio: 0.25 sample_weights_test: {str(draws).lower()}"
    net = load(text, {"x": x}, tmp_path, dtype=torch.float32)
    converter.export_onnx(net, tmp_path / "net.onnx", opset=opset, dynamic=dynamic)
    path = tmp_path / "net.onnx"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (top,) = session.run(None, {"x": x})
    kept = top > 0
    assert np.abs(top - np.where(kept, 4 / 3 if draws else 1, 0)).max() < 1e-6
    assert 1400 < kept.sum() < 1600 if draws else kept.all()  # of 2000, 1500 in the mean
