"""CapsNet's layers against loops over Caffe's memory: values, gradients, ONNX."""

from __future__ import annotations

from math import exp, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch

from prototxt import CaffeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(15)


def layer(kind: str, param: str, bottoms: str = "x", top: str = "y") -> str:
    ends = " ".join(f'bottom: "{name}"' for name in bottoms.split())
    return f'layer {{ name: "L" type: "{kind}" {ends} top: "{top}" {param} }}'


def length(values: np.ndarray) -> float:
    return sqrt(sum(value * value for value in values.ravel().tolist()) + 1e-7)


def gradient(text: str, inputs: dict[str, np.ndarray], folder: Path, diff: np.ndarray, **options):
    moved = {name: torch.from_numpy(array).requires_grad_() for name, array in inputs.items()}
    net = load(text, inputs, folder, **options)
    net.blobs(moved)["y"].backward(torch.from_numpy(diff))
    return moved["x"].grad.numpy()


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 8, 3, 1)])
def test_squash(shape: tuple[int, ...], tmp_path: Path) -> None:
    x = RNG.normal(size=shape)
    x[0] = 0  # a capsule of nothing
    text = layer("Squash", "squash_param { capsule_dim: 4 }")
    top, slopes = np.empty(x.size), np.empty(x.size)
    for at in range(0, x.size, 4):
        own = x.ravel()[at : at + 4].tolist()
        square = sum(value * value for value in own) + 2e-7
        n = sqrt(square)
        for k, value in enumerate(own):
            top[at + k] = value * (1 - exp(-n)) / n
            by_length = exp(-n) / square - 1 / n / square + exp(-n) / n / square
            slopes[at + k] = value * value * by_length + 1 / n - exp(-n) / n
    check(text, {"x": x}, {"y": top.reshape(shape)}, tmp_path)
    diff = RNG.normal(size=shape)
    got = gradient(text, {"x": x}, tmp_path, diff)
    np.testing.assert_allclose(got, diff * slopes.reshape(shape), rtol=1e-9, atol=1e-9)


def test_a_lone_value_is_squashed_with_the_true_gradient(tmp_path: Path) -> None:
    text = layer("Squash", "squash_param { capsule_dim: 1 }")
    check_gradients(text, {"x": RNG.normal(size=(2, 3))}, tmp_path)


def test_capsule_reshape(tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 6, 2, 4))
    top = np.empty((2, 16, 3))
    for n, g, d, i, j in np.ndindex(2, 2, 3, 2, 4):
        top[n, g * 8 + i * 4 + j, d] = x[n, g * 3 + d, i, j]
    text = layer("CapsuleReshape", "capsule_reshape_param { capsule_dim: 3 }")
    check(text, {"x": x}, {"y": top}, tmp_path)
    check_gradients(text, {"x": x}, tmp_path)


def test_capsule_len(tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 3, 4))
    want = np.array([[length(capsule) for capsule in sample] for sample in x])
    text = layer("CapsuleLen", "capsule_len_param { num_class: 3 }")
    check(text, {"x": x}, {"y": want}, tmp_path)


def test_the_last_capsule_is_kept(tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 3, 4))
    x[0, 2] = 0
    top = x.copy()
    top[:, :2] = 0
    text = layer("CapsuleMask", "capsule_mask_param { class_num: 3 }")
    check(text, {"x": x}, {"y": top}, tmp_path)
    check_gradients(text, {"x": x}, tmp_path)


def test_capsule_relu_in_place(tmp_path: Path) -> None:
    x = RNG.normal(size=(3, 6, 2))
    top = x.copy()
    for n, i in np.ndindex(3, 6):
        if length(x[n, i]) > 1.25:
            top[n, i] = 0
    assert 0 < np.count_nonzero(top) < top.size
    copied = 'layer { name: "c" type: "Split" bottom: "x" top: "y" }'
    text = copied + layer("CapsuleRelu", "capsule_relu_param { dim: 2 thre: 1.25 }", "y")
    check(text, {"x": x}, {"y": top}, tmp_path)
    diff = RNG.normal(size=x.shape)
    np.testing.assert_array_equal(gradient(text, {"x": x}, tmp_path, diff), diff)


MARGIN = "margin_param { num_class: 3 m_upper_bound: 1.5 m_lower_bound: 0.5 lambda: 0.25 }"


def test_margin_loss(tmp_path: Path) -> None:
    x, label = RNG.normal(size=(4, 3, 2)), np.array([2.0, 0, 7, 1])
    loss, slopes = 0.0, np.zeros(x.shape)
    for n, j in np.ndindex(4, 3):
        size = length(x[n, j])
        if j == label[n]:
            loss += max(0, 1.5 - size) ** 2
            slopes[n, j] = -2 * max(0, 1.5 - size) / size * x[n, j]
        else:
            loss += 0.25 * max(0, size - 0.5) ** 2
            slopes[n, j] = 0.5 * max(0, size - 0.5) / size * x[n, j]
    inputs = {"x": x, "label": label}
    text = layer("MarginLoss", MARGIN, "x label")
    check(text, inputs, {"y": np.array(loss / 4)}, tmp_path)
    # Of the sum, and whatever the loss weighs.
    for weight in (1, 3):
        net = load(text + f" # {weight}", inputs, tmp_path)
        moved = torch.from_numpy(x).requires_grad_()
        (weight * net.blobs({"x": moved, "label": torch.from_numpy(label)})["y"]).backward()
        np.testing.assert_allclose(moved.grad, slopes, rtol=1e-9, atol=1e-12)


TRANSFORM = ("capsule_transform_param { input_capsule_dim: 4 output_capsule_dim: 3 "
             "output_capsule_num: 2 bias_term: %s }")  # fmt: skip


@pytest.mark.parametrize("bias", [True, False])
def test_capsule_transform(bias: bool, tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 5, 4))
    weight, added = RNG.normal(size=(5, 4, 6)), RNG.normal(size=30)
    top = np.zeros((2, 5, 6))
    for n, i, k in np.ndindex(top.shape):
        top[n, i, k] = sum(x[n, i, d] * weight[i, d, k] for d in range(4))
        top[n, i, k] += added[i * 6 + k] if bias else 0
    text = layer("CapsuleTransform", TRANSFORM % str(bias).lower())
    own = {"L": [weight, added] if bias else [weight]}
    check(text, {"x": x}, {"y": top}, tmp_path, blobs=own)
    check_gradients(text, {"x": x}, tmp_path, blobs=own)
    assert_blobs_learn(text, x, own, tmp_path)


def assert_blobs_learn(text: str, x: np.ndarray, own: dict, folder: Path) -> None:
    """Compare the gradients of blobs with finite differences."""
    net = load(text, {"x": x}, folder, blobs=own)
    for blob in net.params["L"]:
        flat = blob.data.view(-1)
        net.zero_grad()
        weights = torch.arange(1.0, 1 + net({"x": torch.from_numpy(x)})["y"].numel()).double()
        (net({"x": torch.from_numpy(x)})["y"].flatten() * weights).sum().backward()
        for at in range(0, flat.numel(), 7):
            ends = []
            for step in (1e-4, -2e-4):
                flat[at] += step
                ends.append((net({"x": torch.from_numpy(x)})["y"].flatten() @ weights).item())
            flat[at] += 1e-4
            assert blob.grad.view(-1)[at].item() == pytest.approx((ends[0] - ends[1]) / 2e-4, 1e-5)


def test_capsule_routing(tmp_path: Path) -> None:
    x, weight = RNG.normal(size=(2, 5, 6)), RNG.normal(size=(2, 5))
    top = np.zeros((2, 2, 3))
    for n, o, d, i in np.ndindex(2, 2, 3, 5):
        top[n, o, d] += weight[o, i] * x[n, i, o * 3 + d]
    text = layer("CapsuleRouting", "capsule_routing_param { input_capsule_num: 5 "
                 "output_capsule_dim: 3 output_capsule_num: 2 }")  # fmt: skip
    own = {"L": [weight]}
    check(text, {"x": x}, {"y": top}, tmp_path, blobs=own)
    check_gradients(text, {"x": x}, tmp_path, blobs=own)
    assert_blobs_learn(text, x, own, tmp_path)


WINDOW = "input_h: 5 input_w: 4 kh: 3 kw: 2 stride: %d input_capsule_num: 2 output_capsule_num: 3 "
MATRICES = (
    "input_capsule_shape { dim: 2 dim: 3 } output_capsule_shape { dim: 2 dim: 2 } bias_term: %s"
)


@pytest.mark.parametrize(("stride", "bias"), [(1, "true"), (2, "true"), (3, "false")])
def test_capsule_conv_transform(stride: int, bias: str, tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 2 * 5 * 4, 6))
    rows, columns = (5 - 3) // stride + 1, (4 - 2) // stride + 1
    weight = RNG.normal(size=(3 * 2 * 2 * 3, 3, 2))
    added = RNG.normal(size=rows * columns * 12 * 12)
    memory, kernel = x.reshape(2, -1), weight.ravel()
    top, diff = np.zeros((2, rows * columns * 12 * 12)), RNG.normal(size=(2, added.size))
    slopes = np.zeros(memory.shape)
    for b, i, j, s, m, n in np.ndindex(2, rows, columns, 2, 3, 2):
        index = (s * 20 + (i * stride + m) * 4 + j * stride + n) * 6
        at = ((i * columns + j) * 12 + s * 6 + m * 2 + n) * 12
        matrix = kernel[(s * 6 + m * 2 + n) * 18 :][:18].reshape(3, 6)
        said = memory[b, index : index + 6].reshape(2, 3) @ matrix
        top[b, at : at + 12] = said.ravel()
        back = diff[b, at : at + 12].reshape(2, 6) @ matrix.T
        slopes[b, index : index + 6] = back.ravel()  # the last window's, and no sum
    top += added if bias == "true" else 0
    shape = (2, rows * columns, 12, 12)
    text = layer("CapsuleConvTransform", "capsule_conv_transform_param { "
                 f"{WINDOW % stride} {MATRICES % bias} }}")  # fmt: skip
    own = {"L": [weight, added] if bias == "true" else [weight]}
    check(text, {"x": x}, {"y": top.reshape(shape)}, tmp_path, blobs=own)
    got = gradient(text, {"x": x}, tmp_path, diff.reshape(shape), blobs=own)
    np.testing.assert_allclose(got.reshape(2, -1), slopes, rtol=1e-9)
    assert_blobs_learn(text, x, own, tmp_path)


def test_capsule_conv_routing(tmp_path: Path) -> None:
    x, weight = RNG.normal(size=(2, 9, 12, 12)), RNG.normal(size=(27, 12))
    top = np.zeros((2, 27, 4))
    memory = x.reshape(2, 27, 12, 4)
    for n, i, k, d in np.ndindex(2, 27, 12, 4):
        top[n, i, d] += weight[i, k] * memory[n, i, k, d]
    text = layer("CapsuleConvRouting", f"capsule_conv_routing_param {{ {WINDOW % 1} "
                 "output_capsule_shape { dim: 2 dim: 2 } }")  # fmt: skip
    own = {"L": [weight]}
    check(text, {"x": x}, {"y": top}, tmp_path, blobs=own)
    check_gradients(text, {"x": x[:1]}, tmp_path, blobs=own)
    assert_blobs_learn(text, x, own, tmp_path)


@pytest.mark.parametrize(("stride", "bias"), [(1, "true"), (2, "false")])
def test_tensor(stride: int, bias: str, tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 2, 5, 4, 2, 3, 2))
    rows, columns = (5 - 3) // stride + 1, (4 - 2) // stride + 1
    weight = RNG.normal(size=(2, 3, 3, 2, 2, 2 * 4))
    kernel = weight.reshape(3, 2, 3, 2, 2, 2, 4)
    top = np.zeros((2, 3, rows, columns, 2, 3, 4))
    for b, p, i, j, s, m, n, c in np.ndindex(2, 3, rows, columns, 2, 3, 2, 2):
        seen = x[b, s, i * stride + m, j * stride + n, c]
        top[b, p, i, j, c] += seen @ kernel[p, s, m, n, c]
    added = RNG.normal(size=top[0].size)
    own = {"L": [weight, added] if bias == "true" else [weight]}
    top += added.reshape(top[0].shape) if bias == "true" else 0
    text = layer("Tensor", f"capsule_conv_param {{ {WINDOW % stride} input_capsule_shape {{ dim: 2 "
                 f"dim: 3 dim: 2 }} output_capsule_shape {{ dim: 2 dim: 3 dim: 4 }} "
                 f"bias_term: {bias} }}")  # fmt: skip
    check(text, {"x": x}, {"y": top}, tmp_path, blobs=own)
    check_gradients(text, {"x": x[:1]}, tmp_path, blobs=own)
    assert_blobs_learn(text, x, own, tmp_path)


X = (2, 6, 4)


@pytest.mark.parametrize(
    ("kind", "param", "says"),
    [
        ("Squash", "squash_param { capsule_dim: 5 }", "24 values a sample, wants a multiple of 5"),
        ("Squash", "squash_param { }", "capsule_dim is 0, wants 1 or more"),
        ("CapsuleReshape", "capsule_reshape_param { capsule_dim: 4 }", "6 channels, wants a mult"),
        ("CapsuleRelu", "capsule_relu_param { dim: 4 thre: 1 }", "its top is another blob"),
        ("CapsuleTransform", TRANSFORM.replace("input_capsule_dim: 4", "") % "true",
         "input_capsule_dim is 0"),
        ("CapsuleRouting", "capsule_routing_param { input_capsule_num: 5 output_capsule_dim: 3 "
         "output_capsule_num: 2 }", "24 values a sample, wants 30"),
        ("CapsuleConvTransform", f"capsule_conv_transform_param {{ {WINDOW % 1} "
         f"{MATRICES % 'true'} }}", "24 values a sample, wants 240"),
        ("CapsuleConvTransform", f"capsule_conv_transform_param {{ {WINDOW % 0} "
         f"{MATRICES % 'true'} }}", "stride is 0, wants 1 or more"),
        ("CapsuleConvTransform", "capsule_conv_transform_param { "
         f"{(WINDOW % 1).replace('kh: 3', 'kh: 6')} {MATRICES % 'true'} }}", "does not fit 5 x 4"),
        ("Tensor", f"capsule_conv_param {{ {WINDOW % 1} {MATRICES % 'true'} }}", "wants 3 sizes"),
        ("Cap", "cap_param { }", "its agreements are never set back"),
        ("DynamicRouting", "dr_param { }", "its published source computes nothing"),
    ],
)  # fmt: skip
def test_refused(kind: str, param: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=says):
        load(layer(kind, param), {"x": np.ones(X)}, tmp_path)
