"""The layers of mobile networks against their formulas as plain loops."""

from __future__ import annotations

from math import exp, log, tanh
from pathlib import Path

import numpy as np
import pytest
import torch

import caffe_layers
from prototxt import ShapeError, UnsupportedError
from tests.support import restated
from tests.support.restated import check, check_gradients


def image(*shape: int) -> np.ndarray:
    return np.random.default_rng(1701).normal(0, 2, shape)


def layer(kind: str, fields: str = "") -> str:
    return f'layer {{ name: "L" type: "{kind}" bottom: "x" top: "y" {fields} }}\n'


def each(x: np.ndarray, function) -> np.ndarray:
    return np.array([function(value) for value in x.ravel()]).reshape(x.shape)


def grouped(x, weight, bias, group, *, stride=1, pad=0, dilation=1) -> np.ndarray:
    """Convolve: a filter of group g sees the channels of its group."""
    n_out, per_group, kernel = weight.shape[0], weight.shape[1], weight.shape[2]
    extent = dilation * (kernel - 1) + 1
    height, width = ((size + 2 * pad - extent) // stride + 1 for size in x.shape[2:])
    top = np.zeros((x.shape[0], n_out, height, width))
    for n, o, h, w in np.ndindex(*top.shape):
        first = o // (n_out // group) * per_group
        total = bias[o]
        for c, i, j in np.ndindex(per_group, kernel, kernel):
            row, column = h * stride - pad + i * dilation, w * stride - pad + j * dilation
            if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
                total += weight[o, c, i, j] * x[n, first + c, row, column]
        top[n, o, h, w] = total
    return top


WINDOWS = [{}, {"stride": 2, "pad": 1}, {"dilation": 2, "pad": 2}]


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(("num_output", "group"), [(4, 4), (8, 4), (4, 2)])
def test_depthwise_convolution_is_convolution(num_output, group, window, tmp_path: Path):
    x, rng = image(2, 4, 6, 7), np.random.default_rng(2)
    blobs = [rng.normal(size=(num_output, 4 // group, 3, 3)), rng.normal(size=num_output)]
    fields = " ".join(f"{name}: {value}" for name, value in window.items())
    param = f"num_output: {num_output} group: {group} kernel_size: 3 {fields}"
    text = layer("DepthwiseConvolution", f"convolution_param {{ {param} }}")
    want = grouped(x, *blobs, group, **window)
    check(text, {"x": x}, {"y": want}, tmp_path, blobs={"L": blobs})
    check_gradients(text, {"x": x[:1]}, tmp_path, blobs={"L": blobs})


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize(
    "said", ["num_output: 4 group: 4", "num_output: 99", "num_output: 8 group: 2"]
)
def test_convolution_depthwise_reads_no_number_of_outputs(said, window, tmp_path: Path):
    x, rng = image(2, 4, 6, 7), np.random.default_rng(2)
    blobs = [rng.normal(size=(4, 1, 3, 3)), rng.normal(size=4)]
    fields = " ".join(f"{name}: {value}" for name, value in window.items())
    text = layer("ConvolutionDepthwise", f"convolution_param {{ {said} kernel_size: 3 {fields} }}")
    want = grouped(x, *blobs, 4, **window)
    check(text, {"x": x}, {"y": want}, tmp_path, blobs={"L": blobs})


def test_convolution_depthwise_wants_an_image(tmp_path: Path):
    text = layer("ConvolutionDepthwise", "convolution_param { num_output: 4 kernel_size: 3 }")
    with pytest.raises(ShapeError, match="1 axes of a window at axis 1"):
        restated.load(text, {"x": image(2, 4, 6)}, tmp_path)


@pytest.mark.parametrize("shape", [(2, 6, 3, 4), (1, 6), (2, 6, 5)])
@pytest.mark.parametrize("group", [1, 2, 3, 6])
def test_shuffle_channel_deals_them_out(shape, group, tmp_path: Path):
    x = image(*shape)
    want, per_group = np.zeros(shape), shape[1] // group
    for i in range(group):
        for j in range(per_group):
            want[:, j * group + i] = x[:, i * per_group + j]
    text = layer("ShuffleChannel", f"shuffle_channel_param {{ group: {group} }}")
    dynamic = ("batch", "height", "width") if len(shape) == 4 else ("batch",)
    check(text, {"x": x}, {"y": want}, tmp_path, dynamic=dynamic)
    check_gradients(text, {"x": x}, tmp_path)


def test_shuffle_channel_refused(tmp_path: Path):
    text = layer("ShuffleChannel", "shuffle_channel_param { group: 4 }")
    with pytest.raises(ShapeError, match="6 channels do not split into group 4"):
        restated.load(text, {"x": image(1, 6, 2, 2)}, tmp_path)
    with pytest.raises(ShapeError, match="group is 0"):
        caffe_layers.ShuffleChannel(group=0)


EDGES = np.array([-50, -20.5, -19.5, -3, -2.5, -1e-3, 0, 1e-3, 2.5, 3, 19.5, 20.5, 50.0])


@pytest.mark.parametrize(
    ("kind", "dialect", "function"),
    [
        ("Mish", None, lambda x: x * tanh(log(1 + exp(x)))),
        ("HSwish", "hswish", lambda x: x * min(max(x + 3, 0), 6) / 6),
        ("HardSwish", "hswish", lambda x: x * min(max(x + 3, 0), 6) / 6),
        ("HSwish", "hswish_02", lambda x: x * min(max(0.2 * x + 0.5, 0), 1)),
        ("HardSwish", "hswish_02", lambda x: x * min(max(0.2 * x + 0.5, 0), 1)),
        ("HardSigmoid", None, lambda x: min(max(float(np.float32(0.2)) * x + 0.5, 0), 1)),
    ],
)
def test_activations(kind, dialect, function, tmp_path: Path):
    for x in (image(2, 3, 4, 5), EDGES, image(2, 3)):
        check(layer(kind), {"x": x}, {"y": each(x, function)}, tmp_path, dialect=dialect)
    check_gradients(layer(kind), {"x": image(2, 3)}, tmp_path, dialect=dialect)


def test_hard_sigmoid_reads_its_line(tmp_path: Path):
    x = image(2, 3, 4)
    text = layer("HardSigmoid", "hard_sigmoid_param { alpha: 0.5 beta: -0.25 }")
    want = each(x, lambda value: min(max(0.5 * value - 0.25, 0), 1))
    check(text, {"x": x}, {"y": want}, tmp_path)


@pytest.mark.parametrize("kind", ["HSwish", "HardSwish"])
def test_which_hswish_cannot_be_told(kind, tmp_path: Path):
    with pytest.raises(UnsupportedError) as caught:
        restated.load(layer(kind), {"x": image(2, 3)}, tmp_path)
    assert "the readings of hswish, hswish_02 each fit this layer" in str(caught.value)
    assert "name the fork with --dialect" in str(caught.value)


@pytest.mark.parametrize(
    ("fields", "alpha", "scale"),
    [("", 1.67326324, 1.050700987), ("selu_param { alpha: 0.5 lambda: 2.25 }", 0.5, 2.25)],
)
def test_selu(fields: str, alpha: float, scale: float, tmp_path: Path) -> None:
    alpha, scale = float(np.float32(alpha)), float(np.float32(scale))
    x = image(2, 3, 4, 5)
    x[0, 0, 0, :2] = 0, 1000  # whose exponential no number is
    want = each(x, lambda value: scale * (value if value > 0 else alpha * (exp(value) - 1)))
    check(layer("SeLu", fields), {"x": x}, {"y": want}, tmp_path)
    check_gradients(layer("SeLu", fields), {"x": x[1:]}, tmp_path)


def test_selu_dropout_keeps_mean_and_variance(tmp_path: Path) -> None:
    dropout = caffe_layers.SeLuDropout(dropout_ratio=0.25)
    torch.manual_seed(1701)
    x = torch.nn.functional.selu(torch.randn(1_000_000, dtype=torch.float64)).requires_grad_()
    top = dropout(x)
    top.sum().backward()
    assert x.grad is not None
    stays = x.grad != 0
    assert stays.double().mean().item() == pytest.approx(0.75, abs=0.002)
    alpha, q = float(np.float32(-1.75809934)), 0.75
    a = 1 / (q + alpha**2 * q * (1 - q)) ** 0.5
    b = -a * (1 - q) * alpha
    torch.testing.assert_close(x.grad[stays], torch.full_like(x.grad[stays], a))
    torch.testing.assert_close(top, a * x.where(stays, alpha) + b)
    assert top.mean().item() == pytest.approx(0, abs=0.01)
    assert top.var().item() == pytest.approx(1, abs=0.01)
    value = image(2, 3)
    check(layer("SeLuDropout"), {"x": value}, {"y": value}, tmp_path)
    with pytest.raises(ShapeError, match="above 0 and below 1"):
        caffe_layers.SeLuDropout(dropout_ratio=1)
