"""MNC's regions between its stages, against its rule as loops."""

from __future__ import annotations

from math import exp
from pathlib import Path

import numpy as np
import pytest

from prototxt import CaffeError
from tests.caffe_layers.forks.python.test_formulas import layer
from tests.support.restated import check, load

NAME = "pylayer.stage_bridge_layer.StageBridgeLayer"
RNG = np.random.default_rng(1701)
ROWS, CLASSES = 9, 4
TEXT = layer(NAME, "b0 b1 b2 b3")


def bridged(
    rois: np.ndarray, shifts: np.ndarray, scores: np.ndarray, info: np.ndarray
) -> np.ndarray:
    top = np.zeros((len(rois), 5))
    height, width = info[0, :2]
    for row, (_, x1, y1, x2, y2) in enumerate(rois.reshape(-1, 5)):
        best = 0
        for label in range(scores.shape[1]):
            if scores[row, label] > scores[row, best]:
                best = label
        dx, dy, dw, dh = shifts[row, 4 * best : 4 * best + 4]
        for at, low, high, by, grown, most in (
            (1, x1, x2, dx, dw, width),
            (2, y1, y2, dy, dh, height),
        ):
            size = high - low + 1
            centre = low + 0.5 * size + by * size
            top[row, at] = min(max(centre - 0.5 * exp(grown) * size, 0), most - 1)
            top[row, at + 2] = min(max(centre + 0.5 * exp(grown) * size, 0), most - 1)
    return top


def inputs(beyond: tuple[int, ...] = ()) -> dict[str, np.ndarray]:
    low, side = RNG.uniform(0, 40, (ROWS, 2)), RNG.uniform(2, 25, (ROWS, 2))
    image = np.ones((ROWS, 1))  # whatever it says, the top's is 0
    rois = np.concatenate([image, low, low + side], 1).reshape(ROWS, 5, *beyond)
    scores = RNG.uniform(size=(ROWS, CLASSES))
    scores[0], scores[1, 0] = 0.25, 2  # equal ones, and the background
    shifts = RNG.normal(size=(ROWS, 4 * CLASSES)) * 0.5
    arrays = {"b0": rois, "b1": shifts, "b2": scores, "b3": np.array([[31.0, 37, 1.5]])}
    return {name: array.astype(np.float32).astype(float) for name, array in arrays.items()}


@pytest.mark.parametrize("beyond", [(), (1, 1)])
def test_rule(beyond: tuple[int, ...], tmp_path: Path) -> None:
    given = inputs(beyond)
    want = bridged(*given.values())
    assert (want[:, 1:3] == 0).any()
    assert (want[:, 3] == 36).any()
    assert (want[:, 4] == 30).any()
    check(TEXT, given, {"y": want}, tmp_path, dynamic=())


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("b1", (ROWS, 12), "the shifts are .* wants 9 x 16"),
        ("b2", (ROWS - 1, CLASSES), "the scores are .* wants 9 x C"),
        ("b0", (ROWS, 4), "wants R x 5"),
        ("b3", (1, 1), "the image's numbers are"),
    ],
)
def test_refused(name: str, shape: tuple[int, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=message):
        load(TEXT, inputs() | {name: np.zeros(shape)}, tmp_path)
