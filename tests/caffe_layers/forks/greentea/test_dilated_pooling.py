"""Pooling with holes against greentea's loops."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import numpy as np
import pytest

from prototxt import CaffeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(1701)


def layer(param: str) -> str:
    return f'layer {{ name: "L" type: "Pooling" bottom: "x" top: "y" pooling_param {{ {param} }} }}'


def pooled(
    x: np.ndarray, kernel: list[int], stride: list[int], pad: list[int], dilation: list[int]
) -> np.ndarray:
    sizes = []
    for size, k, s, p, d in zip(x.shape[2:], kernel, stride, pad, dilation, strict=True):
        count = ceil((size + 2 * p - (k - 1) * d - 1) / s) + 1
        sizes.append(count - (p > 0 and (count - 1) * s >= size + p))
    top = np.full((*x.shape[:2], *sizes), -np.inf)
    for at in np.ndindex(*sizes):
        for within in np.ndindex(*kernel):
            place = [
                a * s - p + w * d
                for a, s, p, w, d in zip(at, stride, pad, within, dilation, strict=True)
            ]
            if all(0 <= one < size for one, size in zip(place, x.shape[2:], strict=True)):
                here = (slice(None), slice(None), *at)
                value = x[(slice(None), slice(None), *place)]
                top[here] = np.maximum(top[here], value)
    return top


CASES = {
    "kernel_size: 2 dilation: 2": ((2, 3, 7, 8), [2, 2], [1, 1], [0, 0], [2, 2]),
    "kernel_size: 2 stride: 1 dilation: 4 pad: 0": ((1, 2, 9, 7), [2, 2], [1, 1], [0, 0], [4, 4]),
    "kernel_size: 3 kernel_size: 2 stride: 2 dilation: 2 dilation: 3 pad: 1": (
        (1, 2, 8, 9),
        [3, 2],
        [2, 2],
        [1, 1],
        [2, 3],
    ),
    "kernel_size: 2 stride: 3 dilation: 2": ((1, 1, 8, 10), [2, 2], [3, 3], [0, 0], [2, 2]),
    "kernel_size: 2 stride: 2 dilation: 1": ((1, 2, 5, 4, 7), [2] * 3, [2] * 3, [0] * 3, [1] * 3),
}


@pytest.mark.parametrize("param", CASES)
def test_pooled(param: str, tmp_path: Path) -> None:
    shape, *window = CASES[param]
    x = RNG.normal(size=shape)
    want = pooled(x, *window)
    assert np.isfinite(want).all()
    check(layer(param), {"x": x}, {"y": want}, tmp_path)
    check_gradients(layer(param), {"x": x[:1, :1]}, tmp_path)


def test_free_sizes(tmp_path: Path) -> None:
    x = RNG.normal(size=(1, 2, 7, 8))
    want = pooled(x, [2, 2], [2, 2], [1, 1], [2, 2])
    text = layer("kernel_size: 2 stride: 2 pad: 1 dilation: 2")
    check(text, {"x": x}, {"y": want}, tmp_path, dynamic=("batch", "height", "width"))


@pytest.mark.parametrize(
    ("param", "says"),
    [
        ("pool: AVE kernel_size: 2 dilation: 2", "MAX with one top alone"),
        ("kernel_size: 2 dilation: 8", "does not fit"),
        ("kernel_size: 2 dilation: 0", "wants 1 or more"),
        ("kernel_size: 2 dilation: 1 stride: 9223372036854775807", "more than a blob holds"),
        ("kernel_size: 2 dilation: 1 pad: 9223372036854775807", "more than a blob holds"),
        ("kernel_size: 2 dilation: 1 dilation: 1 dilation: 1", "3 dilation for 2 axes"),
    ],
)
def test_refused(param: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=says):
        load(layer(param), {"x": np.zeros((1, 1, 5, 5))}, tmp_path)


def test_pooling_without_holes_is_bvlcs(tmp_path: Path) -> None:
    net = load(layer("kernel_size: 2 stride: 2"), {"x": np.zeros((1, 1, 5, 5))}, tmp_path)
    assert net.layers["L"].fork == "bvlc"
