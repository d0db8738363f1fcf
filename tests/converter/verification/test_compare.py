"""The error of one blob beside another, restated value by value."""

from __future__ import annotations

from math import inf, isfinite, isnan

import numpy as np
import pytest

from converter.verification import compare
from converter.verification.compare import relative_error

ODD = (np.nan, np.inf, -np.inf, 3e38, -3e38, 0.0)
TYPES = (np.float32, np.float32, np.float64, np.float16, np.int64, np.uint8, np.bool_)


def restated(got: np.ndarray, want: np.ndarray, largest: float | None) -> float:
    error, magnitude = 0.0, 0.0
    for ours, theirs in zip(map(float, got), map(float, want), strict=True):
        if not isfinite(theirs):
            if ours != theirs and not (isnan(ours) and isnan(theirs)):
                return inf
            continue
        if not isfinite(ours):
            return inf
        error, magnitude = max(error, abs(ours - theirs)), max(magnitude, abs(theirs))
    magnitude = magnitude if largest is None else largest
    if error == 0:
        return 0.0
    return error / magnitude if magnitude else inf


@pytest.mark.parametrize("piece", [1, 3, 1 << 16])
def test_it_is_the_largest_error_over_the_largest_value(piece, monkeypatch):
    monkeypatch.setattr(compare, "_PIECE", piece)
    random = np.random.default_rng(1701)
    for _ in range(600):
        size = random.integers(9)
        want = random.standard_normal(size) * random.choice([1e-30, 1, 1e30])
        got = want * (1 + random.choice([0, 1e-6, 1]) * random.standard_normal(size))
        for values in (got, want):
            for odd in random.choice(ODD, random.integers(3)) if size else ():
                values[random.integers(size)] = odd
        if size and random.integers(3) == 0:
            got[0] = want[0]
        with np.errstate(all="ignore"):
            got, want = (v.astype(TYPES[random.integers(len(TYPES))]) for v in (got, want))
        largest = random.choice([None, None, 0.0, 5.0])
        expected = restated(got, want, largest)
        assert relative_error(got, want, largest) == pytest.approx(expected, rel=1e-5), (got, want)


def test_whole_numbers_do_not_wrap():
    got, want = np.array([1, 255], np.uint8), np.array([255, 0], np.uint8)
    assert relative_error(got, want) == 1.0
    lowest = np.array([np.iinfo(np.int64).min])
    assert relative_error(np.array([0]), lowest) == 1.0


def test_a_float_that_is_off_by_one_rounding_is_off():
    want = np.array([1.0], np.float32)
    assert relative_error(np.nextafter(want, 2, dtype=np.float32), want) == 2.0**-23
    tiny = np.array([np.finfo(np.float32).tiny / 4], np.float32)
    assert relative_error(tiny, np.zeros_like(tiny)) == inf


def test_other_shapes_are_infinitely_off():
    assert relative_error(np.zeros((2, 3)), np.zeros((3, 2))) == inf
    assert relative_error(np.zeros(0), np.zeros(0)) == 0
