"""What ONNX Runtime may do to a model that is verified: as it ships all, inside of it little."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import converter
from converter.onnx.model import OnnxModel
from tests.support.definitions import convolution, layer

LEVELS = onnxruntime.GraphOptimizationLevel
X = np.random.default_rng(1701).standard_normal((1, 4, 6, 6)).astype(np.float32)


def noted(monkeypatch: pytest.MonkeyPatch) -> list[onnxruntime.GraphOptimizationLevel]:
    """Note from now on how far each session may change its graph."""
    found: list[onnxruntime.GraphOptimizationLevel] = []
    session = onnxruntime.InferenceSession

    def noting(
        model: str | bytes, options: onnxruntime.SessionOptions, providers: list[str]
    ) -> onnxruntime.InferenceSession:
        found.append(options.graph_optimization_level)
        return session(model, options, providers=providers)

    monkeypatch.setattr(onnxruntime, "InferenceSession", noting)
    return found


def written(folder: Path, *, int8: bool) -> OnnxModel:
    path = folder / "net.prototxt"
    shape = "input_param { shape { dim: [1, 4, 6, 6] } }"
    data = layer("data", "Input", "", "data", shape)
    path.write_text(
        data
        + convolution("first", "data", 8, 3)
        + layer("relu", "ReLU", "first", "relu")
        + convolution("last", "relu", 8, 3)
    )
    net = converter.load(path)
    calibration = converter.Calibration([{"data": X}]) if int8 else None
    converter.export_onnx(net, folder / "net.onnx", calibration=calibration)
    return OnnxModel(folder / "net.onnx")


@pytest.mark.parametrize(
    ("int8", "within"), [(False, LEVELS.ORT_ENABLE_BASIC), (True, LEVELS.ORT_ENABLE_ALL)]
)
def test_what_is_exposed_is_not_fused_but_for_whole_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, int8: bool, within: object
) -> None:
    model = written(tmp_path, int8=int8)
    levels = noted(monkeypatch)
    outputs = model.run({"data": X})
    exposed = model.run_exposed({"data": X}, ["first", "relu", "last"])
    model.run_part({"relu": exposed["relu"]}, ["last"])
    assert levels == [LEVELS.ORT_ENABLE_ALL, within, within]
    assert np.abs(exposed["last"] - outputs["last"]).max() <= 1e-6 * np.abs(outputs["last"]).max()
