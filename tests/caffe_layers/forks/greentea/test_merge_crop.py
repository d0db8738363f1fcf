"""MergeCrop against greentea's loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from prototxt import CaffeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(1701)


def layer(param: str = "") -> str:
    return (
        'layer { name: "L" type: "MergeCrop" bottom: "a" bottom: "b" top: "y" '
        f"mergecrop_param {{ {param} }} }}"
    )


def merged(a: np.ndarray, b: np.ndarray, *, stacks: bool) -> np.ndarray:
    top = np.zeros((a.shape[0], a.shape[1] * (2 if stacks else 1), *a.shape[2:]))
    for at in np.ndindex(*a.shape):
        pairs = zip(at[2:], b.shape[2:], a.shape[2:], strict=True)
        there = [i + (large - small) // 2 for i, large, small in pairs]
        value = b[(*at[:2], *there)]
        if stacks:
            top[at] = a[at]
            top[(at[0], at[1] + a.shape[1], *at[2:])] = value
        else:
            top[at] = a[at] + value
    return top


@pytest.mark.parametrize("stacks", [True, False])
@pytest.mark.parametrize("sizes", [((3, 4), (6, 9)), ((3, 4), (3, 5)), ((2, 3, 2), (4, 3, 5))])
def test_merged(stacks: bool, sizes: tuple[tuple[int, ...], ...], tmp_path: Path) -> None:
    a, b = (RNG.normal(size=(2, 3, *size)) for size in sizes)
    param = "backward: true backward: true " + ("" if stacks else "operation: ADD")
    inputs = {"a": a, "b": b}
    check(layer(param), inputs, {"y": merged(a, b, stacks=stacks)}, tmp_path)
    check_gradients(layer(param), inputs, tmp_path, wrt=("a", "b"))


def test_what_is_denied(tmp_path: Path) -> None:
    a, b = RNG.normal(size=(1, 2, 2, 2)), RNG.normal(size=(1, 2, 4, 4))
    want = merged(a, b, stacks=True)
    want[:, :2] = 0
    inputs = {"a": a, "b": b}
    check(layer("forward: false forward: true"), inputs, {"y": want}, tmp_path)
    net = load(layer(), inputs, tmp_path)
    bottoms = {name: torch.from_numpy(array).requires_grad_() for name, array in inputs.items()}
    net.blobs(bottoms)["y"].sum().backward()
    assert bottoms["a"].grad is not None
    assert (bottoms["a"].grad == 1).all()
    assert bottoms["b"].grad is None or not bottoms["b"].grad.any()


@pytest.mark.parametrize(
    ("b", "param", "says"),
    [
        ((1, 2, 3, 5), "", "wants the first within the second"),
        ((1, 3, 5, 5), "", "Caffe mixes them"),
        ((1, 3, 5, 5), "operation: ADD", "which ADD wants equal"),
    ],
)
def test_refused(b: tuple[int, ...], param: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=says):
        load(layer(param), {"a": np.zeros((1, 2, 4, 4)), "b": np.zeros(b)}, tmp_path)


def test_one_image_with_a_multiple_of_the_channels(tmp_path: Path) -> None:
    a, b = RNG.normal(size=(1, 4, 2, 2)), RNG.normal(size=(1, 2, 4, 5))
    want = np.concatenate([a, b[:, :, 1:3, 1:3]], 1)
    check(layer(), {"a": a, "b": b}, {"y": want}, tmp_path, dynamic=())
    with pytest.raises(CaffeError, match="Caffe mixes them"):
        load(layer(), {"a": np.zeros((2, 4, 2, 2)), "b": np.zeros((2, 2, 4, 5))}, tmp_path)
