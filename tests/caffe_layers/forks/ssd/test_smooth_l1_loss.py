"""SmoothL1Loss as SSD reads it: with no weights, or one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from prototxt import ShapeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(1701)


def smooth_l1_loss(a: np.ndarray, b: np.ndarray, w: np.ndarray | None = None) -> np.ndarray:
    total = 0.0
    for at in np.ndindex(*a.shape):
        d = (1 if w is None else w[at]) * (a[at] - b[at])
        total += d * d / 2 if abs(d) < 1 else abs(d) - 0.5
    return np.array(total / a.shape[0])


def text(bottoms: str) -> str:
    names = " ".join(f'bottom: "{name}"' for name in bottoms)
    return f'layer {{ name: "L" type: "SmoothL1Loss" {names} top: "y" }}'


@pytest.mark.parametrize("shape", [(3, 4), (2, 3, 4, 5), (5,), (1, 1, 1, 1)])
@pytest.mark.parametrize("names", ["ab", "abw"])
def test_rule(names: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    inputs = {name: RNG.normal(0, 1.2, shape) for name in names}
    if names == "abw":
        inputs["w"].flat[::3] = 0
    check(text(names), inputs, {"y": smooth_l1_loss(**inputs)}, tmp_path)
    if names == "ab":
        check_gradients(text(names), inputs, tmp_path, wrt=("a", "b"))


def test_the_edge_belongs_to_the_line(tmp_path: Path) -> None:
    inputs = {"a": np.array([[1.0, -1.0, 0.0, 2.0]]), "b": np.zeros((1, 4))}
    check(text("ab"), inputs, {"y": np.array(0.5 + 0.5 + 0 + 1.5)}, tmp_path)


def test_weights_get_no_gradient(tmp_path: Path) -> None:
    inputs = {name: torch.randn(2, 3, dtype=torch.float64) for name in "abw"}
    net = load(text("abw"), {name: value.numpy() for name, value in inputs.items()}, tmp_path)
    for value in inputs.values():
        value.requires_grad_()
    net.loss(inputs).backward()
    assert inputs["w"].grad is None
    assert inputs["a"].grad is not None


def test_the_gradient_is_not_multiplied_by_the_weights_again(tmp_path: Path) -> None:
    a, w = np.array([[0.2, 3.0, -0.5, 7.0], [1.0] * 4]), np.array([[2.0, 0.1, 4.0, 0.0]] * 2)
    inputs = {"a": a, "b": np.zeros((2, 4)), "w": w}
    net = load(text("abw"), inputs, tmp_path)
    leaves = {name: torch.from_numpy(array).requires_grad_() for name, array in inputs.items()}
    net.loss(leaves).backward()
    want = np.array([[0.4, 0.3, -1.0, 0.0], [1.0, 0.1, 1.0, 0.0]]) / 2
    for name, sign in (("a", 1), ("b", -1)):
        grad = leaves[name].grad
        assert grad is not None
        assert np.allclose(grad.numpy(), sign * want, atol=1e-12)


def test_bottoms_that_differ_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="differ in shape"):
        load(text("ab"), {"a": np.ones((2, 3)), "b": np.ones((2, 4))}, tmp_path)
    with pytest.raises(ShapeError, match="the weights"):
        load(
            text("abw"),
            {"a": np.ones((2, 3)), "b": np.ones((2, 3)), "w": np.ones((2, 1))},
            tmp_path,
        )
