"""Lstm against its loops over steps, sequences and cells."""

from __future__ import annotations

from math import exp, tanh
from pathlib import Path

import numpy as np
import pytest
import torch

from prototxt import CaffeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(1701)


def layer(param: str, bottoms: str = "x") -> str:
    ends = "".join(f' bottom: "{name}"' for name in bottoms.split())
    return f'layer {{ name: "L" type: "Lstm"{ends} top: "y" lstm_param {{ {param} }} }}'


def sigmoid(x: float) -> float:
    return 1 / (1 + exp(-x))


def lstm(x: np.ndarray, blobs: list[np.ndarray], clip: np.ndarray | None = None) -> np.ndarray:
    """Return every h of x, T x N x I; where `clip` is 0 nothing of the step before counts."""
    w_i, w_h, b = blobs
    steps, streams, size = *x.shape[:2], w_h.shape[1]
    top = np.zeros((steps, streams, size))
    cell = np.zeros((steps, streams, size))
    for t in range(steps):
        for n in range(streams):
            goes_on = t > 0 and (clip is None or clip[t, n] != 0)
            sums = b + w_i @ x[t, n] + (w_h @ top[t - 1, n] if goes_on else 0)
            for d in range(size):
                i, f, o, g = (sums[k * size + d] for k in range(4))
                before = cell[t - 1, n, d] if goes_on else 0
                cell[t, n, d] = sigmoid(f) * before + sigmoid(i) * tanh(g)
                top[t, n, d] = sigmoid(o) * tanh(cell[t, n, d])
    return top


def blobs(inputs: int, size: int) -> list[np.ndarray]:
    return [RNG.normal(size=shape) for shape in ((4 * size, inputs), (4 * size, size), (4 * size,))]


@pytest.mark.parametrize("clipped", [False, True])
def test_sequences_side_by_side(clipped: bool, tmp_path: Path) -> None:
    x, own = RNG.normal(size=(5, 3, 2)), blobs(2, 4)
    clip = RNG.integers(0, 3, (5, 3)).astype(float) if clipped else None
    inputs = {"x": x} if clip is None else {"x": x, "clip": clip}
    text = layer("num_output: 4", " ".join(inputs))
    check(text, inputs, {"y": lstm(x, own, clip)}, tmp_path, blobs={"L": own}, dynamic=())
    if clip is not None:
        clip[0] = 0  # no state is left of one pass for the next
    check_gradients(text, inputs, tmp_path, blobs={"L": own})


@pytest.mark.parametrize("clipped", [False, True])
def test_rows_of_several_sequences(clipped: bool, tmp_path: Path) -> None:
    x, own = RNG.normal(size=(6, 3)), blobs(3, 2)
    clip = np.array([[0, 0], [1, 0], [0.5, 1]]) if clipped else None
    want = lstm(x.reshape(3, 2, 3), own, clip).reshape(6, 2)
    inputs = {"x": x} if clip is None else {"x": x, "clip": clip.reshape(6)}
    text = layer("num_output: 2 batch_size: 2", " ".join(inputs))
    check(text, inputs, {"y": want}, tmp_path, blobs={"L": own}, dynamic=())
    check_gradients(text, inputs, tmp_path, blobs={"L": own})


def test_state_goes_on_where_the_second_bottom_says_so(tmp_path: Path) -> None:
    x, own = RNG.normal(size=(6, 1, 2)), blobs(2, 3)
    whole = lstm(x, own)
    inputs = {"x": x[:3], "clip": np.ones((3, 1))}
    net = load(layer("num_output: 3", "x clip"), inputs, tmp_path, blobs={"L": own})
    halves = [
        net.blobs({"x": torch.from_numpy(part), "clip": torch.ones(3, 1, dtype=torch.float64)})["y"]
        for part in (x[:3], x[3:])
    ]
    got = torch.cat(halves).detach().numpy()
    np.testing.assert_allclose(got, whole, rtol=1e-12)
    net.layers["L"].reset_state()
    again = net.blobs({"x": torch.from_numpy(x[:3]), "clip": torch.ones(3, 1, dtype=torch.float64)})
    np.testing.assert_allclose(again["y"].detach().numpy(), whole[:3], rtol=1e-12)


def test_gradients_of_the_sums_are_clipped_in_training(tmp_path: Path) -> None:
    x, own = RNG.normal(size=(1, 1, 2)), blobs(2, 3)
    bounded = load(layer("num_output: 3 clipping_threshold: 0.01"), {"x": x}, tmp_path,
                   blobs={"L": own}, phase="TRAIN")  # fmt: skip
    free = load(layer("num_output: 3"), {"x": x}, tmp_path, blobs={"L": own}, phase="TRAIN")
    gradients = []
    for net in (bounded, free):
        net.blobs({"x": torch.from_numpy(x)})["y"].sum().backward()
        gradients.append(net.params["L"][2].grad.numpy())
    assert abs(gradients[1]).max() > 0.02
    np.testing.assert_allclose(gradients[0], gradients[1].clip(-0.01, 0.01), rtol=1e-6)


@pytest.mark.parametrize(
    ("shape", "param", "says"),
    [
        ((5, 3), "num_output: 2 batch_size: 2", "5 rows, wants a multiple of batch_size 2"),
        ((5, 3, 1, 1), "num_output: 2", "4 axes, wants T x N x I"),
        ((5, 3), "num_output: 0", "num_output is 0"),
    ],
)
def test_refused(shape: tuple[int, ...], param: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=says):
        load(layer(param), {"x": np.zeros(shape)}, tmp_path)


def test_second_bottom_of_another_size(tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match="wants a value for each row"):
        load(layer("num_output: 2", "x clip"), {"x": np.zeros((4, 2, 3)), "clip": np.zeros(4)},
             tmp_path)  # fmt: skip
