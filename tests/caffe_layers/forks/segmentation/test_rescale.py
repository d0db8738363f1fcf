"""DeepSkeleton's Rescale and Quantize against loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from prototxt import CaffeError
from tests.support.restated import check, load


def layer(tops: str, rf: int = 14) -> str:
    named = " ".join(f'top: "{top}"' for top in tops.split())
    return f'layer {{ name: "L" type: "Rescale" bottom: "x" {named} rescale_param {{ rf: {rf} }} }}'


def restated(x: np.ndarray, rf: int) -> tuple[np.ndarray, np.ndarray]:
    top, there = np.zeros(x.shape), np.zeros(x.shape)
    for place in np.ndindex(x.shape):
        if not (x[place] >= rf or abs(x[place]) <= 1e-4):
            top[place], there[place] = 2 * x[place] / rf - 1, 1
    return top, there


@pytest.mark.parametrize("tops", ["y", "y there"])
def test_values(tops: str, tmp_path: Path) -> None:
    x = np.random.default_rng(1701).uniform(-5, 30, (2, 1, 4, 5))
    x[0, 0, 0] = 0, 14, 13.5, 5e-5, -3e-4
    wants = dict(zip(tops.split(), restated(x, 14), strict=False))
    assert 0 < (wants["y"] == 0).mean() < 1
    check(layer(tops), {"x": x}, wants, tmp_path)


def test_a_width_of_nothing(tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match="rf is 0, wants 1 or more"):
        load(layer("y", 0), {"x": np.zeros((1, 1))}, tmp_path)


def test_classes(tmp_path: Path) -> None:
    x = np.array([[-3, 0, 0.99, 1, 11.9, 12, 35.5], [36, 79.5, 80, 150, 199.9, 200, 1e4]])
    want = np.array([[0, 0, 0, 1, 1, 2, 2], [3, 3, 4, 4, 4, 0, 0]], float)
    text = 'layer { name: "L" type: "Quantize" bottom: "x" top: "y" }'
    check(text, {"x": x}, {"y": want}, tmp_path)
