"""Convolution with TensorFlow's padding."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import numpy as np
import pytest
import torch

import converter
from converter.onnx.runtime import run_onnx
from prototxt import CaffeError, UnsupportedError
from tests.support.restated import check, load

RNG = np.random.default_rng(1701)


def convolution(x: np.ndarray, weight: np.ndarray, stride: int, same: bool) -> np.ndarray:
    images, channels, height, width = x.shape
    count, _, kernel, _ = weight.shape
    if same:
        rows, columns = ceil(height / stride), ceil(width / stride)
        top = ((rows - 1) * stride + kernel - height) // 2
        left = ((columns - 1) * stride + kernel - width) // 2
    else:
        top = left = 0
        rows, columns = (height - kernel) // stride + 1, (width - kernel) // stride + 1
    y = np.zeros((images, count, rows, columns))
    for n, o, i, j in np.ndindex(*y.shape):
        for c, u, v in np.ndindex(channels, kernel, kernel):
            h, w = i * stride + u - top, j * stride + v - left
            if 0 <= h < height and 0 <= w < width:
                y[n, o, i, j] += weight[o, c, u, v] * x[n, c, h, w]
    return y


def text(kernel: int, stride: int, padding: str, more: str = "") -> str:
    return (
        'layer { name: "L" type: "Convolution" bottom: "x" top: "y" convolution_param { '
        f"num_output: 2 bias_term: false kernel_size: {kernel} stride: {stride} pad: 5 "
        f"tf_pad: {padding} {more} }} }}"
    )


SIZES = [(3, 2, 8, 9), (4, 3, 10, 11), (3, 1, 5, 6), (2, 2, 6, 7), (5, 2, 7, 8), (1, 1, 3, 4)]


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize(("kernel", "stride", "height", "width"), SIZES)
def test_rule(
    kernel: int, stride: int, height: int, width: int, padding: str, tmp_path: Path
) -> None:
    x = RNG.normal(0, 1, (2, 3, height, width))
    weight = RNG.normal(0, 1, (2, 3, kernel, kernel)).astype(np.float32).astype(float)
    want = convolution(x, weight, stride, padding == "SAME")
    net = text(kernel, stride, padding)
    check(net, {"x": x}, {"y": want}, tmp_path, blobs={"L": [weight]})


def test_sizes_may_be_free(tmp_path: Path) -> None:
    net = load(
        text(3, 2, "SAME", 'weight_filler { type: "xavier" }'),
        {"x": np.ones((1, 3, 8, 8))},
        tmp_path,
        dtype=torch.float32,
    )
    path = tmp_path / "net.onnx"
    converter.export_onnx(net, path, dynamic=("batch", "height", "width"))
    for size in ((1, 3, 8, 8), (2, 3, 9, 14), (1, 3, 1, 3)):
        x = RNG.normal(0, 1, size).astype(np.float32)
        want = net({"x": torch.from_numpy(x)})["y"].detach().numpy()
        got = run_onnx(path, {"x": x})["y"]
        assert got.shape == want.shape == (size[0], 2, -(-size[2] // 2), -(-size[3] // 2))
        assert np.abs(got - want).max() < 1e-5


@pytest.mark.parametrize(
    ("kernel", "stride", "more", "message"),
    [
        (3, 1, "dilation: 2", "leaves dilation out of account"),
        (1, 2, "", "asks for fewer than no zeros"),
    ],
)
def test_refusals(kernel: int, stride: int, more: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match=message):
        load(text(kernel, stride, "SAME", more), {"x": np.ones((1, 3, 8, 8))}, tmp_path)


def test_kernel_below_its_stride_wants_a_fixed_size(tmp_path: Path) -> None:
    net = load(text(1, 2, "SAME"), {"x": np.ones((1, 3, 7, 7))}, tmp_path, dtype=torch.float32)
    converter.export_onnx(net, tmp_path / "net.onnx")
    with pytest.raises(CaffeError):
        converter.export_onnx(net, tmp_path / "net.onnx", dynamic=("height",))


def test_deconvolution_has_none(tmp_path: Path) -> None:
    net = text(3, 2, "SAME").replace("Convolution", "Deconvolution")
    with pytest.raises(CaffeError, match="tf_pad"):
        load(net, {"x": np.ones((1, 3, 8, 8))}, tmp_path)
