"""Crop to a size that is known only when the model runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import caffe_layers
import converter

NET = """
    layer { name: "x" type: "Input" top: "x" input_param { shape { dim: [2, 3, 8, 9] } } }
    layer { name: "r" type: "Input" top: "r" input_param { shape { dim: [2, 1, 4, 5] } } }
    layer { name: "L" type: "Crop" bottom: "x" bottom: "r" top: "y"
            crop_param { offset: 1 offset: 3 } }
"""


def test_the_references_size_may_be_free(tmp_path: Path) -> None:
    (tmp_path / "net.prototxt").write_text(NET)
    net = converter.load(tmp_path / "net.prototxt")
    path = tmp_path / "net.onnx"
    converter.export_onnx(net, path, dynamic=("batch", "height", "width"))
    converter.check_onnx(path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for height, width in ((4, 5), (7, 2)):
        x = np.arange(3 * 3 * 10 * 9, dtype=np.float32).reshape(3, 3, 10, 9)
        r = np.zeros((3, 1, height, width), np.float32)
        (got,) = session.run(None, {"x": x, "r": r})
        assert np.array_equal(got, x[:, :, 1 : 1 + height, 3 : 3 + width])


@pytest.mark.parametrize(("name", "value"), [("axis", 2), ("offset", (0,))])
def test_defaults(name: str, value: object) -> None:
    assert getattr(caffe_layers.LAYERS["Crop"]["bvlc"](), name) == value
