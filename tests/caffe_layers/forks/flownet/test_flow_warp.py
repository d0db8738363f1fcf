"""FlowWarp, ChannelNorm, NegReLU and Mean against FlowNet2's loops."""

from __future__ import annotations

from math import nan, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch

from prototxt import CaffeError
from prototxt.schema import dialect
from tests.support import restated

RNG = np.random.default_rng(1701)

WARP = (
    'layer {{ name: "L" type: "FlowWarp" bottom: "x" bottom: "f" top: "y" '
    "flow_warp_param {{ {} }} }}"
)


def warp(image: np.ndarray, flow: np.ndarray, fill: float) -> np.ndarray:
    n, _, h, w = image.shape
    top = np.full_like(image, fill)
    for i in range(n):
        for y in range(h):
            for x in range(w):
                x2, y2 = x + flow[i, 0, y, x], y + flow[i, 1, y, x]
                if not (0 <= x2 < w and 0 <= y2 < h):
                    continue
                left, above = int(x2), int(y2)
                right, below = min(left + 1, w - 1), min(above + 1, h - 1)
                a, b = x2 - left, y2 - above
                top[i, :, y, x] = (
                    (1 - a) * (1 - b) * image[i, :, above, left]
                    + a * (1 - b) * image[i, :, above, right]
                    + (1 - a) * b * image[i, :, below, left]
                    + a * b * image[i, :, below, right]
                )
    return top


def flows(*shape: int) -> np.ndarray:
    """Return flows of which some lead to the edges, beyond them, and to whole pixels."""
    n, h, w = shape
    flow = RNG.uniform(-w, w, (n, 2, h, w)) / 2
    flow[0, :, 0, 0] = 0  # the pixel itself
    flow[0, :, 0, 1] = -1.5, 0.25  # left of the image
    flow[0, :, -1, -1] = 0.5, 0.5  # between the last pixel and the image's end
    flow[0, :, -1, 0] = 0, 1  # below
    flow[0, :, 1, 1] = nan
    return flow


@pytest.mark.parametrize("fill", ["ZERO", "NOT_A_NUMBER"])
@pytest.mark.parametrize("shape", [(2, 3, 5, 7), (1, 1, 2, 2)])
def test_flow_warp(shape: tuple[int, ...], fill: str, tmp_path: Path) -> None:
    image, flow = RNG.standard_normal(shape), flows(shape[0], *shape[2:])
    want = warp(image, flow, 0 if fill == "ZERO" else nan)
    assert (want != 0).any()
    layer = WARP.format(f"fill_value: {fill}")
    inputs = {"x": image, "f": flow}
    restated.check(layer, inputs, {"y": want}, tmp_path, dynamic=("batch", "height", "width"))


def test_flow_warp_gradients(tmp_path: Path) -> None:
    image, flow = RNG.standard_normal((1, 2, 3, 4)), flows(1, 3, 4)
    flow[0, :, 0, 0] = 0.2
    flow[0, :, 1, 1] = 0.3
    flow[0, :, -1, 0] = 0.1, 1.2
    inputs = {"x": image, "f": flow}
    restated.check_gradients(WARP.format(""), inputs, tmp_path, wrt=("x", "f"))


def test_a_flow_of_nan_has_no_gradient(tmp_path: Path) -> None:
    net = restated.load(
        WARP.format(""), {"x": np.zeros((1, 1, 2, 2)), "f": np.zeros((1, 2, 2, 2))}, tmp_path
    )
    image = torch.ones(1, 1, 2, 2, dtype=torch.float64, requires_grad=True)
    flow = torch.full((1, 2, 2, 2), nan, dtype=torch.float64, requires_grad=True)
    net.blobs({"x": image, "f": flow})["y"].sum().backward()
    assert image.grad is not None
    assert flow.grad is not None
    assert not image.grad.any()
    assert not flow.grad.any()


@pytest.mark.parametrize("flow", [(1, 3, 5, 7), (1, 2, 5, 6), (2, 2, 5, 7)])
def test_flow_warp_refused(flow: tuple[int, ...], tmp_path: Path) -> None:
    inputs = {"x": np.zeros((1, 1, 5, 7)), "f": np.zeros(flow)}
    with pytest.raises(CaffeError, match=r"wants \(1, 2, 5, 7\) for the image"):
        restated.load(WARP.format(""), inputs, tmp_path)


NORM = 'layer { name: "L" type: "ChannelNorm" bottom: "x" top: "y" }'


@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 1, 2, 2), (3, 4)])
def test_channel_norm(shape: tuple[int, ...], tmp_path: Path) -> None:
    x = RNG.standard_normal(shape)
    n, c, h, w = (*shape, 1, 1)[:4]
    four = x.reshape(n, c, h, w)
    want = np.zeros((n, 1, h, w))
    for i, _, y, u in np.ndindex(*want.shape):
        want[i, 0, y, u] = sqrt(sum(four[i, m, y, u] ** 2 for m in range(c)))
    restated.check(NORM, {"x": x}, {"y": want}, tmp_path)
    restated.check_gradients(NORM, {"x": x}, tmp_path)


def test_channel_norm_of_zeros_has_no_gradient(tmp_path: Path) -> None:
    net = restated.load(NORM, {"x": np.zeros((1, 2, 1, 2))}, tmp_path)
    x = torch.tensor([[[[0.0, 3.0]], [[0.0, 4.0]]]], dtype=torch.float64, requires_grad=True)
    net.blobs({"x": x})["y"].sum().backward()
    want = np.array([[[[0, 3 / (5 + 1e-9)]], [[0, 4 / (5 + 1e-9)]]]])
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.numpy(), want, rtol=1e-15)


@pytest.mark.parametrize("slope", [0, 0.25])
def test_neg_relu(slope: float, tmp_path: Path) -> None:
    x = RNG.standard_normal((2, 3, 4))
    x[0, 0, 0] = 0
    layer = (
        'layer { name: "L" type: "NegReLU" bottom: "x" top: "y" '
        f"relu_param {{ negative_slope: {slope} }} }}"
    )
    want = np.array([min(v, 0) + slope * max(v, 0) for v in x.flat]).reshape(x.shape)
    restated.check(layer, {"x": x}, {"y": want}, tmp_path)
    restated.check_gradients(layer, {"x": x[1:]}, tmp_path)
    net = restated.load(layer, {"x": x}, tmp_path)
    zero = torch.zeros(2, 3, 4, dtype=torch.float64, requires_grad=True)
    net.blobs({"x": zero})["y"].sum().backward()
    assert zero.grad is not None
    assert (zero.grad == slope).all()  # Caffe takes 0 for a positive number


MEAN = 'layer {{ name: "L" type: "Mean" bottom: "x" top: "y" mean_param {{ {} }} }}'


@pytest.mark.parametrize("sign", [1, -1])
def test_mean_values_repeat_over_the_channels(sign: int, tmp_path: Path) -> None:
    x = RNG.standard_normal((2, 6, 2, 3))
    operation = "ADD" if sign == 1 else "SUBTRACT"
    layer = MEAN.format(
        f"operation: {operation} value: 1.5 value: -2 value: 3 "
        "mean_scale: 0.5 input_scale: 2 output_scale: 4"
    )
    want = np.zeros_like(x)
    for i, c, h, w in np.ndindex(*x.shape):
        mean = (1.5, -2, 3)[c % 3]
        want[i, c, h, w] = 4 * (2 * x[i, c, h, w] + sign * 0.5 * mean)
    restated.check(layer, {"x": x}, {"y": want}, tmp_path)
    restated.check_gradients(layer, {"x": x}, tmp_path)


def test_mean_of_a_file_and_two_bottoms(tmp_path: Path) -> None:
    mean = RNG.standard_normal((3, 2, 5)).astype(np.float32)
    blob = dialect("bvlc").message("BlobProto")(
        num=1, channels=3, height=2, width=5, data=mean.ravel()
    )
    (tmp_path / "mean.binaryproto").write_bytes(blob.SerializeToString())
    layer = (
        'layer { name: "L" type: "Mean" bottom: "x" bottom: "z" top: "y" top: "t" '
        f'mean_param {{ operation: SUBTRACT file: "{tmp_path / "mean.binaryproto"}" }} }}'
    )
    inputs = {"x": RNG.standard_normal((2, 3, 2, 5)), "z": RNG.standard_normal((2, 6, 2, 5))}
    wants = {"y": inputs["x"] - mean, "t": inputs["z"] - np.concatenate([mean, mean])}
    restated.check(layer, inputs, wants, tmp_path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("operation: ADD", "no mean, wants value or file"),
        ("operation: ADD value: 1 value: 2", "has 3 channels, wants a multiple of the mean's 2"),
        ("value: 1", "operation is missing, it is required"),
    ],
)
def test_mean_refused(fields: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=message):
        restated.load(MEAN.format(fields), {"x": np.zeros((1, 3, 2, 2))}, tmp_path)
