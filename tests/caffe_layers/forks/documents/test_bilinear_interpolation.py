"""BilinearInterpolation against its loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from prototxt import CaffeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(1701)
TEXT = 'layer { name: "L" type: "BilinearInterpolation" bottom: "x" bottom: "like" top: "y" }'


def resized(x: np.ndarray, height: int, width: int) -> np.ndarray:
    wide = np.pad(x, ((0, 0), (0, 0), (0, 1), (0, 1)))  # the loops read one beyond, times 0
    top = np.zeros((*x.shape[:2], height, width))
    down, across = (x.shape[2] - 1) / (height - 1), (x.shape[3] - 1) / (width - 1)
    for h, w in np.ndindex(height, width):
        row, column = int(h * down), int(w * across)
        b, a = h * down - row, w * across - column
        above = (1 - a) * wide[:, :, row, column] + a * wide[:, :, row, column + 1]
        below = (1 - a) * wide[:, :, row + 1, column] + a * wide[:, :, row + 1, column + 1]
        top[:, :, h, w] = (1 - b) * above + b * below
    return top


@pytest.mark.parametrize("size", [(5, 9), (9, 3), (3, 5)])
def test_resized(size: tuple[int, int], tmp_path: Path) -> None:
    x, like = RNG.normal(size=(2, 3, 3, 5)), np.zeros((2, 1, *size))
    inputs = {"x": x, "like": like}
    check(TEXT, inputs, {"y": resized(x, *size)}, tmp_path)
    check_gradients(TEXT, inputs, tmp_path)


def test_refused(tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match="wants 4"):
        load(TEXT, {"x": np.zeros((1, 2, 3, 3)), "like": np.zeros((1, 2))}, tmp_path)
