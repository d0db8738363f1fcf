"""PredictBox against its loops."""

from __future__ import annotations

from math import exp
from pathlib import Path

import numpy as np
import pytest

from prototxt import CaffeError
from tests.support.restated import check, load

RNG = np.random.default_rng(1701)
Arrays = dict[str, np.ndarray]


def layer(param: str, bottoms: str, tops: str = "map list") -> str:
    ends = "".join(f' bottom: "{name}"' for name in bottoms.split())
    ends += "".join(f' top: "{name}"' for name in tops.split())
    return f'layer {{ name: "L" type: "PredictBox"{ends} predict_box_param {{ {param} }} }}'


def windows(given: Arrays, *, exponential: bool) -> tuple[np.ndarray, np.ndarray]:
    scores, shifts = given["s"], given.get("d")
    stitch, best = given.get("stitch"), given.get("best")
    images, _, height, width = scores.shape
    top, found = np.zeros((images, 5, height, width)), []
    for n in range(images):
        for w in range(width):
            for h in range(height):
                score, field, begin = scores[n, 1, h, w], 24.0, (0.0, 0.0)
                if stitch is not None:
                    field, begin = stitch[n, 2, h, w], tuple(stitch[n, :2, h, w])
                if score <= 0.625 or field == 0:
                    continue
                if best is not None and not score > best[n, 1, h, w] - 1e-5:
                    continue
                x, y = ((at * 4 - b) / 12 * field for at, b in zip((w, h), begin, strict=True))
                sides = [field, field]
                if shifts is not None:
                    a, b, c, d = shifts[n, :, h, w]
                    if exponential:
                        x, y, sides = x + a * field, y + b * field, [field * exp(c), field * exp(d)]
                    else:
                        x, y = x + b * field, y + a * field
                        sides = [field + (d - b) * field, field + (c - a) * field]
                top[n, :, h, w] = [x, y, *sides, score]
                found.append(top[n, :, h, w])
    if images > 1 or not found:
        return top, np.zeros((images, 1, 5))
    return top, np.array([found])


def drawn(images: int, third: str, shifted: bool = True) -> Arrays:
    scores = RNG.uniform(size=(images, 2, 4, 5))
    given = {"s": scores}
    if shifted:
        given["d"] = RNG.normal(size=(images, 4, 4, 5))
    if third == "best":
        given["best"] = scores + RNG.integers(0, 2, scores.shape) * 0.25
    elif third == "stitch":
        given["stitch"] = RNG.integers(0, 4, (images, 3, 4, 5)) * 6.0
    return given


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("third", ["", "best", "stitch"])
@pytest.mark.parametrize("exponential", [True, False])
def test_windows(images: int, third: str, exponential: bool, tmp_path: Path) -> None:
    given = drawn(images, third)
    boxes, found = windows(given, exponential=exponential)
    assert boxes.any()
    assert not boxes.any(1).all()
    param = "positive_thresh: 0.625 stride: 4 receptive_field: 24"
    text = layer(param + ("" if exponential else " bbreg_exp: false"), " ".join(given))
    check(text, given, {"map": boxes, "list": found}, tmp_path, dynamic=())
    check(text, given, {"map": boxes, "list": found}, tmp_path)


def test_scores_alone(tmp_path: Path) -> None:
    given = drawn(2, "", shifted=False)
    boxes, _ = windows(given, exponential=True)
    text = layer("positive_thresh: 0.625 stride: 4 receptive_field: 24", "s", "map")
    check(text, given, {"map": boxes}, tmp_path)


def test_nothing_found(tmp_path: Path) -> None:
    given = {name: array * 0 for name, array in drawn(1, "").items()}
    wants = {"map": np.zeros((1, 5, 4, 5)), "list": np.zeros((1, 1, 5))}
    check(layer("", "s d"), given, wants, tmp_path, dynamic=())


@pytest.mark.parametrize(
    ("shapes", "param", "says"),
    [
        ({"d": (1, 4, 3, 3)}, "", "the shifts are"),
        ({"t": (1, 4, 2, 3)}, "", "wants 2 or 3 channels"),
        ({}, "positive_thresh: -1", "wants 0 or more"),
    ],
)
def test_refused(shapes: dict[str, tuple[int, ...]], param: str, says: str, tmp_path: Path) -> None:
    sizes = {"s": (1, 2, 2, 3), "d": (1, 4, 2, 3), "t": (1, 2, 2, 3)} | shapes
    given = {name: np.zeros(size) for name, size in sizes.items()}
    with pytest.raises(CaffeError, match=says):
        load(layer(param, " ".join(given)), given, tmp_path)
