"""ReLU6."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from restated import check, check_gradients

X = np.array([[-30.0, -1.5, -1e-3, 0.0, 1e-3, 3.25, 5.999, 6.0, 6.001, 700.0]])
NET = 'layer {{ name: "L" type: "ReLU6" bottom: "x" top: "y" {} }}'


@pytest.mark.parametrize("param", ["", "relu6_param { engine: CUDNN }"])
def test_rule(param: str, tmp_path: Path) -> None:
    want = np.array([[min(max(value, 0), 6) for value in X[0].tolist()]])
    check(NET.format(param), {"x": X}, {"y": want}, tmp_path)
    smooth = {"x": X[:, [0, 1, 2, 4, 5, 6, 8, 9]]}
    check_gradients(NET.format(param), smooth, tmp_path)


def test_in_place(tmp_path: Path) -> None:
    net = 'layer { name: "s" type: "Power" bottom: "x" top: "y" } '
    net += 'layer { name: "L" type: "ReLU6" bottom: "y" top: "y" }'
    check(net, {"x": X}, {"y": X.clip(0, 6)}, tmp_path)


def test_slope_of_mobilenet_yolo(tmp_path: Path) -> None:
    values = X[0].tolist()
    slope = float(np.float32(0.1))
    want = np.array([[min(max(v, 0), 6) + slope * min(v, 0) for v in values]])
    check(NET.format("relu6_param { negative_slope: 0.1 }"), {"x": X}, {"y": want}, tmp_path)
