"""Permute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import caffe_layers
from prototxt import ShapeError
from tests.support.restated import check, check_gradients, load

X = np.random.default_rng(1701).normal(0, 1, (2, 3, 4, 5))


def permute(x: np.ndarray, order: list[int]) -> np.ndarray:
    order = order + [axis for axis in range(x.ndim) if axis not in order]
    top = np.zeros([x.shape[axis] for axis in order])
    for at in np.ndindex(*x.shape):
        top[tuple(at[axis] for axis in order)] = x[at]
    return top


def text(order: list[int]) -> str:
    param = " ".join(f"order: {axis}" for axis in order)
    return f'layer {{ name: "L" type: "Permute" bottom: "x" top: "y" permute_param {{ {param} }} }}'


@pytest.mark.parametrize("order", [[], [0], [0, 2, 3, 1], [3], [2, 0], [3, 2, 1, 0]], ids=str)
def test_rule(order: list[int], tmp_path: Path) -> None:
    dynamic = ("batch",) if order[:1] in ([], [0]) else ()
    check(text(order), {"x": X}, {"y": permute(X, order)}, tmp_path, dynamic=dynamic)
    check_gradients(text(order), {"x": X}, tmp_path)


def test_one_axis(tmp_path: Path) -> None:
    check(text([0]), {"x": X[0, 0, 0]}, {"y": X[0, 0, 0]}, tmp_path)


def test_by_hand() -> None:
    assert caffe_layers.Permute(order=(0, 2)).shapes((2, 3, 4)) == [(2, 4, 3)]


@pytest.mark.parametrize(
    ("order", "message"),
    [([4], "order \\(4,\\) wants axis \\[4\\] of a bottom with 4"), ([1, 1], "an axis twice")],
)
def test_refusals(order: list[int], message: str, tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match=message):
        load(text(order), {"x": X}, tmp_path)
