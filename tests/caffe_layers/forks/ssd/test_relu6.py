"""ReLU6."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from converter.network.backward import backward
from tests.support.restated import check, check_gradients, load

X = np.array([[-30.0, -1.5, -1e-3, 0.0, 1e-3, 3.25, 5.999, 6.0, 6.001, 700.0]])
NET = 'layer {{ name: "L" type: "ReLU6" bottom: "x" top: "y" {} }}'


@pytest.mark.parametrize("param", ["", "relu6_param { engine: CUDNN }"])
def test_rule(param: str, tmp_path: Path) -> None:
    want = np.array([[min(max(value, 0), 6) for value in X[0].tolist()]])
    check(NET.format(param), {"x": X}, {"y": want}, tmp_path)
    smooth = {"x": X[:, [0, 1, 2, 4, 5, 6, 8, 9]]}
    check_gradients(NET.format(param), smooth, tmp_path)


@pytest.mark.parametrize(
    ("param", "want"),
    [("", [0, 0, 3, 0, 0]), ("relu6_param { negative_slope: 0.5 }", [0.5, 1, 3, 0, 0])],
)
def test_gradient_at_the_ends_is_that_of_outside(
    param: str, want: list[float], tmp_path: Path
) -> None:
    x = np.array([[-1.0, 0.0, 3.0, 6.0, 7.0]])
    net = load(NET.format(param), {"x": x}, tmp_path)
    diff = torch.tensor([[1.0, 2.0, 3.0, 4.0, 5.0]], dtype=torch.float64)
    got = backward(net, {"x": torch.from_numpy(x)}, {"y": diff})
    assert got.diffs["x"].tolist() == [want]


def test_in_place(tmp_path: Path) -> None:
    net = 'layer { name: "s" type: "Power" bottom: "x" top: "y" } '
    net += 'layer { name: "L" type: "ReLU6" bottom: "y" top: "y" }'
    check(net, {"x": X}, {"y": X.clip(0, 6)}, tmp_path)


def test_slope_of_mobilenet_yolo(tmp_path: Path) -> None:
    values = X[0].tolist()
    slope = float(np.float32(0.1))
    want = np.array([[min(max(v, 0), 6) + slope * min(v, 0) for v in values]])
    check(NET.format("relu6_param { negative_slope: 0.1 }"), {"x": X}, {"y": want}, tmp_path)
