"""SSD's Normalize."""

from __future__ import annotations

from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import torch

import caffe_layers
from converter.network.backward import backward
from prototxt import ShapeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(1701)
X = RNG.normal(0, 2, (2, 3, 4, 5))


def normalize(x: np.ndarray, scale: np.ndarray, across: bool, eps: float = 1e-10) -> np.ndarray:
    eps = float(np.float32(eps))
    top = np.zeros_like(x)
    for at in np.ndindex(*x.shape):
        own = x[at[0]] if across else x[(at[0], slice(None), *at[2:])]
        total = sum(float(value) ** 2 for value in own.ravel())
        top[at] = x[at] / sqrt(total + eps) * scale.ravel()[at[1] % scale.size]
    return top


def text(fields: str = "") -> str:
    return f'layer {{ name: "L" type: "Normalize" bottom: "x" top: "y" norm_param {{ {fields} }} }}'


@pytest.mark.parametrize("across", [True, False])
@pytest.mark.parametrize("shared", [True, False])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (2, 3), (2, 3, 4), (1, 1, 1, 1), (2, 3, 1, 1)])
def test_rule(across: bool, shared: bool, shape: tuple[int, ...], tmp_path: Path) -> None:
    x = RNG.normal(0, 2, shape)
    scale = RNG.uniform(5, 20, () if shared else (shape[1],))
    net = text(f"across_spatial: {str(across).lower()} channel_shared: {str(shared).lower()}")
    blobs = {"L": [scale.astype(np.float32).astype(float)]}
    check(net, {"x": x}, {"y": normalize(x, blobs["L"][0], across)}, tmp_path, blobs=blobs)
    if shared:
        check_gradients(net, {"x": x}, tmp_path, blobs=blobs)


@pytest.mark.parametrize(
    ("across", "want"),
    [
        ("true", [0.512, 0.224, 0.864, 0.072]),
        ("false", [1.431083505575, 0.178885438199, 1.073312629221, -0.134164078652]),
    ],
)
def test_gradient_with_a_scale_for_each_channel(
    across: str, want: list[float], tmp_path: Path
) -> None:
    # Seen in Caffe: it is scaled at the end, not at the beginning.
    x = np.array([1.0, 2.0, -2.0, 4.0]).reshape(1, 2, 1, 2)
    net = load(
        text(f"channel_shared: false across_spatial: {across}"),
        {"x": x},
        tmp_path,
        blobs={"L": [np.array([2.0, 3.0])]},
    )
    diff = torch.tensor([1.0, 0.0, 2.0, -1.0], dtype=torch.float64).reshape(1, 2, 1, 2)
    got = backward(net, {"x": torch.from_numpy(x)}, {"y": diff})
    assert np.allclose(got.diffs["x"].flatten().numpy(), want, atol=1e-9)
    scale = (diff * got.blobs["y"]).sum((0, 2, 3)) / torch.tensor([2.0, 3.0])
    assert np.allclose(got.params["L"][0].numpy(), scale.numpy(), atol=1e-9)


def test_gradient_of_the_scale(tmp_path: Path) -> None:
    net = load(text("across_spatial: false channel_shared: false"), {"x": X}, tmp_path)
    (scale,) = net.params["L"]
    weight = torch.from_numpy(RNG.normal(0, 1, X.shape))
    (net({"x": torch.from_numpy(X)})["y"] * weight).sum().backward()
    want = (normalize(X, np.ones(1), False) * weight.numpy()).sum((0, 2, 3))
    assert scale.grad is not None
    assert np.allclose(scale.grad.numpy(), want, atol=1e-9)


def test_eps_is_under_the_root(tmp_path: Path) -> None:
    x = X * 1e-3
    want = normalize(x, np.ones(1), False, eps=1e-4)
    check(text("across_spatial: false eps: 1e-4"), {"x": x}, {"y": want}, tmp_path)


def test_zeros_stay(tmp_path: Path) -> None:
    x = np.zeros((1, 2, 3, 3))
    check(text(), {"x": x}, {"y": x}, tmp_path)


def test_scale_begins_as_1_or_as_its_filler_says(tmp_path: Path) -> None:
    net = load(text(), {"x": X}, tmp_path)
    assert net.params["L"][0].shape == ()
    assert net.params["L"][0].tolist() == 1
    net = load(text("channel_shared: false scale_filler { value: 20 }"), {"x": X}, tmp_path)
    assert net.params["L"][0].tolist() == [20, 20, 20]


@pytest.mark.parametrize(("name", "value"), [("across_spatial", True), ("eps", 1e-10)])
def test_defaults(name: str, value: float) -> None:
    assert getattr(caffe_layers.LAYERS["Normalize"]["ssd"](3), name) == np.float32(value)


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match="has 1 axes, wants 2 or more"):
        load(text(), {"x": np.ones(3)}, tmp_path)
    net = load(text("channel_shared: false"), {"x": X}, tmp_path)
    with pytest.raises(ShapeError, match="has 4 channels, wants 3"):
        net({"x": torch.ones(2, 4, 5, 5, dtype=torch.float64)})
