"""GuidedDropout against its loops."""

from __future__ import annotations

from math import exp
from pathlib import Path

import numpy as np
import pytest
import torch

from prototxt import CaffeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(1701)


def layer(param: str) -> str:
    return (
        'layer { name: "L" type: "GuidedDropout" bottom: "x" bottom: "g" top: "y" '
        f"guided_dropout_param {{ {param} }} }}"
    )


def guided(x: np.ndarray, g: np.ndarray, threshold: float) -> np.ndarray:
    top = np.zeros(x.shape)
    for n in range(len(x)):
        kept = [c for c in range(x.shape[1]) if g[n, c] > threshold]
        for c in kept:
            top[n, c] = x[n, c] * x.shape[1] / len(kept)
    return top


@pytest.mark.parametrize("beyond", [(), (2, 3)])
@pytest.mark.parametrize("threshold", [0, 0.5])
def test_deterministic(beyond: tuple[int, ...], threshold: float, tmp_path: Path) -> None:
    x, g = RNG.normal(size=(3, 6, *beyond)), RNG.normal(size=(3, 6))
    g[0, 0], g[1] = threshold, -1
    want = guided(x, g, threshold)
    assert not want[1].any()
    assert want[2].any()
    inputs = {"x": x, "g": g.reshape(3, 6, *[1] * len(beyond))}
    text = layer(f"guidance_threshold: {threshold}")
    check(text, inputs, {"y": want}, tmp_path)
    check_gradients(text, inputs, tmp_path)


def test_stochastic_is_nothing_in_testing(tmp_path: Path) -> None:
    inputs = {"x": RNG.normal(size=(2, 4)), "g": RNG.normal(size=(2, 4))}
    text = layer('type: "stochastic"')
    check(text, inputs, {"y": inputs["x"]}, tmp_path)
    assert load(text, inputs, tmp_path).layers["L"].is_identity


def test_stochastic_draws_in_training(tmp_path: Path) -> None:
    x, g = np.ones((400, 3, 2)), np.tile([-1.0, 0, 2], (400, 1))
    inputs = {"x": x, "g": g}
    net = load(layer('type: "stochastic" sigmoid_scaler: 2'), inputs, tmp_path, phase="TRAIN")
    torch.manual_seed(1701)
    top = net.blobs({name: torch.from_numpy(array) for name, array in inputs.items()})["y"]
    chance = [1 / (1 + exp(-2 * value)) for value in (-1, 0, 2)]
    share = 3 / sum(chance)
    got = top.detach().numpy()
    assert np.isclose(got, 0).any()
    np.testing.assert_allclose(got[got != 0], share)
    assert (got[..., 0] == got[..., 1]).all()
    np.testing.assert_allclose((got[..., 0] != 0).mean(0), chance, atol=0.08)


@pytest.mark.parametrize(
    ("g", "param", "says"),
    [
        ((2, 3), "", "wants a value for each channel"),
        ((2, 4), 'type: "random"', "is neither"),
    ],
)
def test_refused(g: tuple[int, ...], param: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=says):
        load(layer(param), {"x": np.zeros((2, 4)), "g": np.zeros(g)}, tmp_path)
