"""The Python code of docs/photo.md runs."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.support.paths import ROOT

NET = """
name: "net" input: "data" input_shape { dim: 1 dim: 3 dim: 6 dim: 9 }
layer { name: "pool" type: "Pooling" bottom: "data" top: "pool"
        pooling_param { pool: AVE global_pooling: true } }
layer { name: "prob" type: "Softmax" bottom: "pool" top: "prob" }
"""


def test_code_prepares_and_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import converter

    text = (ROOT / "docs" / "photo.md").read_text(encoding="utf-8")
    code = re.search(r"<!-- photo -->\n```python\n(.*?)```", text, re.DOTALL)
    assert code is not None
    (tmp_path / "net.prototxt").write_text(NET)
    monkeypatch.chdir(tmp_path)
    net = converter.load("net.prototxt")
    converter.save_caffemodel(net, "net.caffemodel")
    photo = np.full((12, 18, 3), (104, 117, 124), np.uint8)  # R, G, B
    names: dict[str, object] = {"photo": photo}
    exec(compile(code[1], "docs/photo.md", "exec"), names)
    # The mean is of B, G, R: what is left is 20, 0 and -19.
    wanted = torch.tensor([20.0, 0.0, -19.0]).softmax(0)
    scores = names["scores"]
    assert isinstance(scores, torch.Tensor)
    torch.testing.assert_close(scores.flatten(), wanted)
