"""HWGQ's layers against loops: signs of weights, steps of activations, gradients of others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from prototxt import CaffeError
from tests.support.restated import check, load

RNG = np.random.default_rng(7)
X = RNG.normal(size=(2, 2, 4, 3))
WEIGHT = RNG.normal(size=(3, 2, 2, 2))
WEIGHT[0, 0, 0, 0] = 0  # a 0 counts as 1
BIAS = RNG.normal(size=3)
CONVOLUTION = "convolution_param { num_output: 3 kernel_size: 2 }"
PRODUCT = "inner_product_param { num_output: 3 }"


def layer(kind: str, param: str) -> str:
    return f'layer {{ name: "L" type: "{kind}" bottom: "x" top: "y" {param} }}'


def binary(weight: np.ndarray, use_alpha: bool) -> np.ndarray:
    made = np.empty_like(weight)
    for o, own in enumerate(weight):
        size = sum(abs(value) for value in own.flat) / own.size if use_alpha else 1
        for at in np.ndindex(own.shape):
            made[(o, *at)] = size if own[at] >= 0 else -size
    return made


def convolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    top = np.empty((len(x), 3, x.shape[2] - 1, x.shape[3] - 1))
    for n, o, i, j in np.ndindex(top.shape):
        top[n, o, i, j] = (weight[o] * x[n, :, i : i + 2, j : j + 2]).sum() + bias[o]
    return top


@pytest.mark.parametrize(
    ("said", "use_alpha"),
    [("", False), ("use_alpha: true", True), ("use_binarization: false", None)],
)
def test_convolution_by_signs(said: str, use_alpha: bool | None, tmp_path: Path) -> None:
    used = WEIGHT if use_alpha is None else binary(WEIGHT, use_alpha)
    text = layer("BinaryConvolution", f"{CONVOLUTION} binary_convolution_param {{ {said} }}")
    own = {"L": [WEIGHT, BIAS]}
    check(text, {"x": X}, {"y": convolved(X, used, BIAS)}, tmp_path, blobs=own)
    net = load(text, {"x": X}, tmp_path, blobs=own)
    x = torch.from_numpy(X).requires_grad_()
    top = net.blobs({"x": x})["y"]
    diff = torch.from_numpy(RNG.normal(size=top.shape))
    top.backward(diff)
    plain = torch.from_numpy(used).requires_grad_()
    twin = torch.from_numpy(X).requires_grad_()
    torch.nn.functional.conv2d(twin, plain).backward(diff)
    torch.testing.assert_close(x.grad, twin.grad)
    torch.testing.assert_close(net.params["L"][0].grad, plain.grad)


@pytest.mark.parametrize("use_alpha", [False, True])
def test_product_by_signs(use_alpha: bool, tmp_path: Path) -> None:
    weight = RNG.normal(size=(3, 24))
    param = f"binary_inner_product_param {{ use_alpha: {str(use_alpha).lower()} }}"
    text = layer("BinaryInnerProduct", f"{PRODUCT} {param}")
    want = X.reshape(2, 24) @ binary(weight, use_alpha).T + BIAS
    check(text, {"x": X}, {"y": want}, tmp_path, blobs={"L": [weight, BIAS]})
    net = load(text, {"x": X}, tmp_path, blobs={"L": [weight, BIAS]})
    net.blobs({"x": torch.from_numpy(X)})["y"].sum().backward()
    sums = X.reshape(2, 24).sum(0)
    np.testing.assert_allclose(net.params["L"][0].grad, np.stack([sums] * 3))


CENTERS = "centers: 0.5 centers: 1.25 centers: 2"


def value(x: float, name: str, slope: float) -> float:
    if name == "sign":
        return 1 if x >= 0 else -1
    if name == "hard_tanh":
        return min(max(x, -1), 1)
    if name == "relu":
        return max(x, 0) + slope * min(x, 0)
    if x <= 0:
        return -slope
    return 0.5 if x <= 0.875 else 1.25 if x <= 1.625 else 2


def slope_of(x: float, name: str, slope: float, clip: float) -> float:
    if name == "hard_tanh":
        return float(-clip <= x <= clip)
    return (1.0 if x > 0 else slope) * (x <= clip)


@pytest.mark.parametrize("clip", [0, 1.5])
@pytest.mark.parametrize("backward", ["hard_tanh", "relu"])
@pytest.mark.parametrize("forward", ["sign", "hard_tanh", "hwgq", "relu"])
def test_quant(forward: str, backward: str, clip: float, tmp_path: Path) -> None:
    x = np.array([[-3, -1, -0.5, 0, 0.25, 0.875, 1, 1.5, 1.625, 1.75, 9, -0.0]])
    text = layer("Quant", f'quant_param {{ forward_func: "{forward}" backward_func: "{backward}" '
                 f"clip_thr: {clip} negative_slope: 0.25 {CENTERS} }}")  # fmt: skip
    want = np.array([[value(one, forward, 0.25) for one in x[0]]])
    check(text, {"x": x}, {"y": want}, tmp_path)
    moved = torch.from_numpy(x).requires_grad_()
    load(text, {"x": x}, tmp_path).blobs({"x": moved})["y"].sum().backward()
    slopes = [slope_of(one, backward, 0.25, clip or np.inf) for one in x[0]]
    np.testing.assert_array_equal(moved.grad.numpy(), [slopes])


def test_what_is_beyond_every_float_is_0(tmp_path: Path) -> None:
    x = np.array([[np.inf, 1e30, np.nan]])
    net = load(layer("Quant", f"quant_param {{ {CENTERS} }}"), {"x": x}, tmp_path)
    assert net.blobs({"x": torch.from_numpy(x)})["y"].tolist() == [[0, 2, 0]]


@pytest.mark.parametrize(
    ("kind", "param", "says"),
    [
        ("Quant", 'quant_param { forward_func: "tanh" }', "forward_func 'tanh' is none of sign"),
        ("Quant", f'quant_param {{ backward_func: "tanh" {CENTERS} }}', "none of hard_tanh, relu"),
        ("Quant", "quant_param { }", "wants some that rise"),
        ("Quant", "quant_param { centers: 1 centers: 0.5 }", "wants some that rise"),
        ("BinaryInnerProduct", "inner_product_param { num_output: 3 transpose: true } "
         "binary_inner_product_param { }", "transpose is passed over by HWGQ"),
    ],
)  # fmt: skip
def test_refused(kind: str, param: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=says):
        load(layer(kind, param), {"x": X}, tmp_path)
