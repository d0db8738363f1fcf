"""Interp's zoom_factor means two things: a dialect names one, and a note names both."""

from __future__ import annotations

from pathlib import Path

import onnxruntime
import pytest
import torch

import converter

NET = """input: "x" input_shape { dim: 1 dim: 2 dim: 4 dim: 5 }
layer { name: "up" type: "Interp" bottom: "x" top: "up" interp_param { %s } }
"""
NOTE = "make (H - 1) z + 1"


def load(folder: Path, fields: str, **options: str) -> converter.CaffeNet:
    (folder / "net.prototxt").write_text(NET % fields)
    return converter.load(folder / "net.prototxt", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dialect", "size", "noted"),
    [(None, (7, 9), True), ("pspnet", (7, 9), False), ("openvino", (8, 10), False)],
)
def test_zooms(dialect: str | None, size: tuple[int, int], noted: bool, tmp_path: Path) -> None:
    options = {} if dialect is None else {"dialect": dialect}
    net = load(tmp_path, "zoom_factor: 2", **options)
    assert net.shapes()["up"][2:] == size
    assert any(NOTE in note for note in net.notes) is noted
    assert converter.verify(net).passed


@pytest.mark.parametrize("fields", ["height: 9 width: 9", "zoom_factor: 2 shrink_factor: 3"])
def test_other_sizes_are_read_alike(fields: str, tmp_path: Path) -> None:
    plain = load(tmp_path, fields)
    assert not any(NOTE in note for note in plain.notes)
    assert load(tmp_path, fields, dialect="openvino").shapes() == plain.shapes()


def test_free_sizes(tmp_path: Path) -> None:
    net = load(tmp_path, "zoom_factor: 3", dialect="openvino")
    path = tmp_path / "net.onnx"
    converter.export_onnx(net, path, dynamic=("height", "width"))
    x = torch.randn(1, 2, 3, 6)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (got,) = session.run(None, {"x": x.numpy()})
    assert got.shape == (1, 2, 9, 18)
    assert torch.allclose(torch.from_numpy(got), net(x)["up"], atol=1e-5)
