"""LRNRistretto against its loop over channels, every step rounded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from prototxt import CaffeError
from tests.caffe_layers.forks.ristretto.test_ristretto import layer, small_float
from tests.support.restated import check, load

RNG = np.random.default_rng(16)
SMALL = "precision: MINIFLOAT mant_bits: 3 exp_bits: 5"


def normalised(
    x: np.ndarray, size: int, alpha: float, beta: float, k: float, mantissa: int, exponent: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the top, and what x is divided by before the power."""

    def q(value: float) -> float:
        return small_float(value, mantissa, exponent)

    channels, post = x.shape[1], size - (size - 1) // 2 - 1
    share = float(np.float32(alpha)) / size
    scale = np.zeros(x.shape)
    for n, i, j in np.ndindex(len(x), *x.shape[2:]):
        line, total, head = x[n, :, i, j], 0.0, 0
        while head < channels + post:
            if head < channels:
                total = q(total + q(q(line[head]) ** 2))
            if head - size >= 0:
                total = q(total - q(q(line[head - size]) ** 2))
            if head >= post:
                scale[n, head - post, i, j] = q(float(np.float32(k)) + q(total * share))
            head += 1
    rounded = np.vectorize(q)
    power = rounded(scale ** -float(np.float32(beta)))
    return rounded(rounded(x) * power), scale


@pytest.mark.parametrize(
    ("channels", "size", "alpha", "beta", "k", "mantissa", "exponent"),
    [
        (7, 5, 2.0, 0.75, 1.0, 3, 5),
        (7, 3, 3.0, 0.6, 2.5, 2, 4),
        (4, 7, 1.0, 0.75, 1.0, 5, 5),
        (3, 7, 1.0, 0.75, 1.0, 3, 5),
        (5, 1, 1.0, 0.5, 1.0, 6, 5),
        (9, 3, 1.0, 0.75, 1.0, 5, 4),  # the largest number is 504
    ],
)
def test_rule(
    channels: int,
    size: int,
    alpha: float,
    beta: float,
    k: float,
    mantissa: int,
    exponent: int,
    tmp_path: Path,
) -> None:
    x = RNG.normal(size=(2, channels, 3, 2)) * 2
    x[0, -1, 0, 0] = 30  # the last to come, which is never taken away
    want, _ = normalised(x, size, alpha, beta, k, mantissa, exponent)
    assert np.unique(want).size > 4
    said = f"lrn_param {{ local_size: {size} alpha: {alpha} beta: {beta} k: {k} }}"
    text = layer("LRNRistretto", said, f"precision: MINIFLOAT mant_bits: {mantissa} "
                 f"exp_bits: {exponent}")  # fmt: skip
    check(text, {"x": x}, {"y": want}, tmp_path)


def test_what_is_lost_stays_lost(tmp_path: Path) -> None:
    """8 + 64 is 64 in so few bits, and 8 and 64 are taken away again all the same."""
    x = np.array([3.0, 8, 0, 0, 0]).reshape(1, 5, 1, 1)
    want, scale = normalised(x, 3, 3.0, 1.0, 1.0, 2, 5)
    assert scale.ravel().tolist() == [64, 64, 56, -7, -7]
    text = layer("LRNRistretto", "lrn_param { local_size: 3 alpha: 3 beta: 1 }",
                 "precision: MINIFLOAT mant_bits: 2 exp_bits: 5")  # fmt: skip
    check(text, {"x": x}, {"y": want}, tmp_path)


def test_gradient(tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 6, 2, 2))
    top, scale = normalised(x, 3, 2.0, 0.75, 1.0, 3, 5)
    net = load(layer("LRNRistretto", "lrn_param { local_size: 3 alpha: 2 }", SMALL), {"x": x},
               tmp_path)  # fmt: skip
    given = torch.from_numpy(x).requires_grad_()
    diff = RNG.normal(size=x.shape)
    net.blobs({"x": given})["y"].backward(torch.from_numpy(diff))
    want = diff * scale**-0.75
    for n, c, i, j in np.ndindex(x.shape):
        near = range(max(c - 1, 0), min(c + 2, 6))
        seen = sum(diff[n, o, i, j] * top[n, o, i, j] / scale[n, o, i, j] for o in near)
        want[n, c, i, j] -= 2 * 2.0 * 0.75 / 3 * x[n, c, i, j] * seen
    assert given.grad is not None
    np.testing.assert_allclose(given.grad.numpy(), want, rtol=1e-6)


@pytest.mark.parametrize(
    ("param", "said", "says"),
    [
        ("", "bw_layer_in: 8", "precision DYNAMIC_FIXED_POINT: LRN wants MINIFLOAT"),
        ("lrn_param { local_size: 4 }", SMALL, "local_size 4 is even"),
        ("lrn_param { norm_region: WITHIN_CHANNEL }", SMALL, "which Ristretto itself lacks"),
        ("lrn_param { local_size: 9 }", SMALL, "3 channels, local_size 9 wants more"),
    ],
)
def test_refused(param: str, said: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=says):
        load(layer("LRNRistretto", param, said), {"x": np.zeros((1, 3, 2, 2))}, tmp_path)
