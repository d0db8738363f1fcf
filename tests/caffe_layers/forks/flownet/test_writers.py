"""FlowNet2's writers: they write nothing, and stop nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import converter
from tests.support.restated import check, load

RNG = np.random.default_rng(1701)


@pytest.mark.parametrize("kind", ["ImgWriter", "FLOWriter", "PFMWriter", "FloatWriter"])
def test_nothing_is_written(kind: str, tmp_path: Path) -> None:
    x = RNG.normal(size=(1, 2, 3, 4))
    text = (
        'layer { name: "p" type: "Power" bottom: "x" top: "y" power_param { scale: 2 } }\n'
        f'layer {{ name: "L" type: "{kind}" bottom: "y" writer_param {{ folder: "out" }} }}'
    )
    check(text, {"x": x}, {"y": 2 * x}, tmp_path, onnx=False)
    net = load(text, {"x": x}, tmp_path, dtype=torch.float32)
    converter.export_onnx(net, tmp_path / "net.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    (got,) = session.run(["y"], {"x": x.astype(np.float32)})
    np.testing.assert_allclose(got, 2 * x, rtol=1e-6)
    assert not (tmp_path / "out").exists()
