"""Ristretto's layers against their arithmetic, number by number in Python."""

from __future__ import annotations

from math import floor, frexp, log2
from pathlib import Path

import numpy as np
import pytest
import torch

import converter
from prototxt import CaffeError
from tests.support.restated import check, load

RNG = np.random.default_rng(16)
X = RNG.normal(size=(2, 2, 5, 4)) * 2
WEIGHT, BIAS = RNG.normal(size=(4, 2, 3, 2)), RNG.normal(size=4)
WEIGHT[1, 0, 0, 0] = 0
CONVOLUTION = "convolution_param { num_output: 4 kernel_h: 3 kernel_w: 2 pad: 1 }"
FIXED = "bw_layer_in: 6 fl_layer_in: 3 bw_params: 5 fl_params: 2 bw_layer_out: 7 fl_layer_out: -1"
SMALL = "precision: MINIFLOAT mant_bits: 3 exp_bits: 3"
TINY = "precision: MINIFLOAT mant_bits: 0 exp_bits: 5"
WHOLE = "precision: MINIFLOAT"
POWERS = (
    "precision: INTEGER_POWER_OF_2_WEIGHTS exp_min: -2 exp_max: 0 bw_layer_in: 6 fl_layer_in: 3 "
    "bw_layer_out: 7 fl_layer_out: 2"
)


def layer(kind: str, param: str, said: str) -> str:
    return (
        f'layer {{ name: "L" type: "{kind}" bottom: "x" top: "y" {param} '
        f"quantization_param {{ {said} }} }}"
    )


def fixed(value: float, bits: int, fraction: int) -> float:
    step = 2.0**-fraction
    return (
        round(min(max(value, -(2 ** (bits - 1)) * step), (2 ** (bits - 1) - 1) * step) / step)
        * step
    )


def small_float(value: float, mantissa_bits: int, exponent_bits: int) -> float:
    value = float(np.float32(value))
    part, exponent = frexp(abs(value))
    exponent, offset = exponent - 1, 2 ** (exponent_bits - 1) - 1
    if value == 0 or exponent < -126 or exponent + offset < 0:
        return 0.0
    steps = 2**mantissa_bits
    mantissa = round((part * 2 - 1) * steps)
    if exponent + offset > 2**exponent_bits - 1:
        exponent, mantissa = 2**exponent_bits - 1 - offset, steps - 1
    return (1 if value > 0 else -1) * (mantissa + steps) / steps * 2.0**exponent


def power(value: float, least: int, most: int) -> float:
    exponent = least if value == 0 else min(max(round(log2(abs(value))), least), most)
    return (1 if value >= 0 else -1) * 2.0**exponent


ROUNDED = {
    FIXED: [lambda v: fixed(v, 6, 3), lambda v: fixed(v, 5, 2), lambda v: fixed(v, 5, 2),
            lambda v: fixed(v, 7, -1)],
    SMALL: [lambda v: small_float(v, 3, 3)] * 4,
    TINY: [lambda v: small_float(v, 0, 5)] * 4,
    WHOLE: [lambda v: small_float(v, 23, 8)] * 4,
    POWERS: [lambda v: fixed(v, 6, 3), lambda v: power(v, -2, 0), float, lambda v: fixed(v, 7, 2)],
}  # fmt: skip
"""How a bottom, a weight, a bias and a top are rounded."""


def convolved(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    wide = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    top = np.empty((len(x), 4, x.shape[2], x.shape[3] + 1))
    for n, o, i, j in np.ndindex(top.shape):
        top[n, o, i, j] = (weight[o] * wide[n, :, i : i + 3, j : j + 2]).sum() + bias[o]
    return top


def transposed(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    top = np.zeros((len(x), 4, x.shape[2] + 2, x.shape[3] + 1)) + bias.reshape(-1, 1, 1)
    for n, c, i, j in np.ndindex(x.shape):
        top[n, :, i : i + 3, j : j + 2] += x[n, c, i, j] * weight[c]
    return top[:, :, 1:-1, 1:-1]


@pytest.mark.parametrize("said", ROUNDED)
def test_convolution(said: str, tmp_path: Path) -> None:
    inputs, weights, biases, outputs = map(np.vectorize, ROUNDED[said])
    want = outputs(convolved(inputs(X), weights(WEIGHT), biases(BIAS)))
    assert np.unique(want).size > 4
    text = layer("ConvolutionRistretto", CONVOLUTION, said)
    check(text, {"x": X}, {"y": want}, tmp_path, blobs={"L": [WEIGHT, BIAS]})


@pytest.mark.parametrize("said", [FIXED, SMALL])
def test_deconvolution(said: str, tmp_path: Path) -> None:
    inputs, weights, biases, outputs = map(np.vectorize, ROUNDED[said])
    weight = WEIGHT.transpose(1, 0, 2, 3).copy()
    want = outputs(transposed(inputs(X), weights(weight), biases(BIAS)))
    text = layer("DeconvolutionRistretto", CONVOLUTION, said)
    check(text, {"x": X}, {"y": want}, tmp_path, blobs={"L": [weight, BIAS]})


@pytest.mark.parametrize("said", [FIXED, SMALL, POWERS])
@pytest.mark.parametrize("transpose", ["true", "false"])
def test_product(said: str, transpose: str, tmp_path: Path) -> None:
    inputs, weights, biases, outputs = map(np.vectorize, ROUNDED[said])
    weight = RNG.normal(size=(4, 40))
    want = outputs(inputs(X).reshape(2, 40) @ weights(weight).T + biases(BIAS))
    stored = weight.T if transpose == "true" else weight
    text = layer("FcRistretto", f"inner_product_param {{ num_output: 4 transpose: {transpose} }}",
                 said)  # fmt: skip
    check(text, {"x": X}, {"y": want}, tmp_path, blobs={"L": [stored, BIAS]})


def test_floats_at_their_ends(tmp_path: Path) -> None:
    """Powers of two, the last before them, halves, what is too large and too small."""
    powers = np.ldexp(1.0, np.arange(-8, 9)).astype(np.float32)
    x = np.concatenate([powers, np.nextafter(powers, np.float32(0)), powers * 1.0625,
                        powers * 1.1875, [0, 1e-42, 3e38]]).astype(float)[None]  # fmt: skip
    for said in (SMALL, TINY):
        rounded = np.vectorize(ROUNDED[said][0])
        text = layer("FcRistretto", "inner_product_param { num_output: 1 axis: 2 }", said)
        want = rounded(rounded(x) * 1.0)
        check(text, {"x": x[..., None]}, {"y": want[..., None]}, tmp_path,
              blobs={"L": [np.ones((1, 1)), np.zeros(1)]})  # fmt: skip


def test_gradients_pass_the_rounding(tmp_path: Path) -> None:
    inputs, weights, *_ = map(np.vectorize, ROUNDED[FIXED])
    net = load(layer("ConvolutionRistretto", CONVOLUTION, FIXED), {"x": X}, tmp_path,
               blobs={"L": [WEIGHT, BIAS]})  # fmt: skip
    x = torch.from_numpy(X).requires_grad_()
    top = net.blobs({"x": x})["y"]
    diff = torch.from_numpy(RNG.normal(size=top.shape))
    top.backward(diff)
    twin = torch.from_numpy(inputs(X)).requires_grad_()
    weight = torch.from_numpy(weights(WEIGHT)).requires_grad_()
    torch.nn.functional.conv2d(twin, weight, padding=1).backward(diff)
    torch.testing.assert_close(x.grad, twin.grad)
    torch.testing.assert_close(net.params["L"][0].grad, weight.grad)
    torch.testing.assert_close(net.params["L"][1].grad, diff.sum((0, 2, 3)))


def test_training_rounds_weights_alone_and_at_random(tmp_path: Path) -> None:
    text = layer("FcRistretto", "inner_product_param { num_output: 1 bias_term: false }", FIXED)
    blobs = {"L": [np.array([[0.3]])]}
    net = load(text, {"x": np.ones((1, 1))}, tmp_path, blobs=blobs, phase="TRAIN")
    x = torch.full((1, 1), 1.01, dtype=torch.float64)
    torch.manual_seed(3)
    seen = [float(net.blobs({"x": x})["y"].detach()) / 1.01 for _ in range(400)]
    assert {floor(value * 4 + 0.5) / 4 for value in seen} == {0.25, 0.5}
    assert abs(np.mean(seen) - 0.3) < 0.02


def test_random_rounding_has_no_onnx_form(tmp_path: Path) -> None:
    net = load(layer("FcRistretto", "inner_product_param { num_output: 1 }",
                     "rounding_scheme: STOCHASTIC"), {"x": np.ones((1, 1))}, tmp_path)  # fmt: skip
    assert net.layers["L"].draws
    with pytest.raises(CaffeError, match="rounds at random"):
        converter.export_onnx(net, tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ("bw_params: 0", "bw_params is 0, wants 1 to 32"),
        ("mant_bits: 24", "mant_bits is 24"),
        ("exp_bits: 9", "exp_bits is 9"),
        ("exp_min: 3 exp_max: 2", "exp_min 3 is above exp_max 2"),
    ],
)
def test_refused(said: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=says):
        load(layer("ConvolutionRistretto", CONVOLUTION, said), {"x": X}, tmp_path)
