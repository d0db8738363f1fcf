"""DenseBlock against its loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from prototxt import CaffeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(1701)
Blobs = list[np.ndarray]


def layer(param: str) -> str:
    ends = 'name: "L" type: "DenseBlock" bottom: "x" top: "y"'
    return f"layer {{ {ends} denseblock_param {{ {param} }} }}"


def convolve(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    pad = weight.shape[2] // 2
    wide = np.pad(x, ((0, 0), (0, 0), (pad, pad), (pad, pad)))
    top = np.zeros((len(x), len(weight), *x.shape[2:]))
    for n, k, h, w in np.ndindex(*top.shape):
        window = wide[n, :, h : h + weight.shape[2], w : w + weight.shape[3]]
        top[n, k, h, w] = (window * weight[k]).sum()
    return top


def norm(x: np.ndarray, parts: Blobs, factor: float, *, batch: bool) -> np.ndarray:
    scale, bias, mean, variance = (part.reshape(1, -1, 1, 1) for part in parts)
    share = 1 / factor if factor else 1
    mean, variance = mean * share, variance * share
    if batch:
        mean, variance = x.mean((0, 2, 3), keepdims=True), x.var((0, 2, 3), keepdims=True)
    return np.maximum(scale * (x - mean) / np.sqrt(variance + 1e-5) + bias, 0)


def dense_block(
    x: np.ndarray, blobs: Blobs, count: int, *, wide: bool, batch: bool = False
) -> np.ndarray:
    factor = float(blobs[-1][0])
    for at in range(count):
        new = norm(x, blobs[count + at : 5 * count : count], factor, batch=batch)
        if wide:
            new = convolve(new, blobs[5 * count + at])
            new = norm(new, blobs[6 * count + at : 10 * count : count], factor, batch=batch)
        x = np.concatenate([x, convolve(new, blobs[at])], 1)
    return x


def drawn(channels: int, count: int, growth: int, *, wide: bool, factor: float) -> Blobs:
    sizes = [channels + at * growth for at in range(count)]
    blobs = [RNG.normal(size=(growth, 4 * growth if wide else size, 3, 3)) for size in sizes]
    groups = [sizes]
    if wide:
        groups.append([4 * growth] * count)
    for of, group in enumerate(groups):
        if of:
            blobs += [RNG.normal(size=(4 * growth, size, 1, 1)) for size in sizes]
        for low, high in ((0.5, 2), (-1, 1), (-1, 1), (1e-6, 1e-2)):
            blobs += [RNG.uniform(low, high, (1, size, 1, 1)) for size in group]
    return [*blobs, np.array([factor])]


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("factor", [0, 4])
def test_dense_block(wide: bool, factor: float, tmp_path: Path) -> None:
    x, own = RNG.normal(size=(2, 3, 4, 5)), drawn(3, 2, 2, wide=wide, factor=factor)
    want = dense_block(x, own, 2, wide=wide)
    text = layer(f"numTransition: 2 growthRate: 2 use_BC: {str(wide).lower()}")
    dynamic = ("batch", "height", "width")
    check(text, {"x": x}, {"y": want}, tmp_path, blobs={"L": own}, dynamic=dynamic)
    check_gradients(text, {"x": x[:1]}, tmp_path, blobs={"L": own})


def test_training_takes_the_batch_and_keeps_a_part_of_it(tmp_path: Path) -> None:
    x, own = RNG.normal(size=(2, 3, 4, 5)), drawn(3, 1, 2, wide=False, factor=0)
    text = layer("numTransition: 1 growthRate: 2 moving_average_fraction: 0.25")
    net = load(text, {"x": x}, tmp_path, blobs={"L": own}, phase="TRAIN")
    got = net.blobs({"x": torch.from_numpy(x)})["y"].detach().numpy()
    want = dense_block(x, own, 1, wide=False, batch=True)
    np.testing.assert_allclose(got, want, rtol=1e-9, atol=1e-9)
    mean, variance = (blob.flatten().numpy() for blob in net.params["L"][3:5])
    np.testing.assert_allclose(mean, 0.75 * own[3].flatten() + 0.25 * x.mean((0, 2, 3)))
    np.testing.assert_allclose(
        variance, 0.75 * own[4].flatten() + 0.25 * x.var((0, 2, 3), ddof=1), rtol=1e-9
    )
    learn = [blob.requires_grad for blob in net.params["L"]]
    assert learn == [True, True, True, False, False, False]


def test_dropout_drops_what_is_added_in_training(tmp_path: Path) -> None:
    x, own = RNG.normal(size=(1, 3, 4, 5)), drawn(3, 1, 2, wide=False, factor=0)
    text = layer("numTransition: 1 growthRate: 2 use_dropout: true dropout_amount: 0.5")
    want = dense_block(x, own, 1, wide=False)
    check(text, {"x": x}, {"y": want}, tmp_path, blobs={"L": own})
    net = load(text, {"x": x}, tmp_path, blobs={"L": own}, phase="TRAIN")
    got = net.blobs({"x": torch.from_numpy(x)})["y"].detach().numpy()
    kept = dense_block(x, own, 1, wide=False, batch=True)
    assert (got[:, :3] == x).all()
    dropped = got[:, 3:] == 0
    assert dropped.any()
    np.testing.assert_allclose(got[:, 3:][~dropped], 2 * kept[:, 3:][~dropped], rtol=1e-9)


@pytest.mark.parametrize(
    ("param", "says"),
    [("numTransition: 0", "numTransition is 0"), ("growthRate: 0", "growthRate is 0")],
)
def test_refused(param: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=says):
        load(layer(param), {"x": np.zeros((1, 3, 4, 4))}, tmp_path)
