"""Both Warps, FlowTransformer, Remap, Grid, NegSquare and ExpMax against the forks' loops."""

from __future__ import annotations

from math import exp, floor
from pathlib import Path

import numpy as np
import pytest
import torch

from caffe_layers.forks.warping.bilinear import sample
from prototxt import CaffeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(1701)


def layer(kind: str, bottoms: str = "x f", param: str = "") -> str:
    ends = "".join(f' bottom: "{name}"' for name in bottoms.split())
    return f'layer {{ name: "L" type: "{kind}"{ends} top: "y" {param} }}'


def pixel(image: np.ndarray, row: int, column: int) -> np.ndarray:
    if 0 <= row < image.shape[1] and 0 <= column < image.shape[2]:
        return image[:, row, column]
    return np.zeros(image.shape[0])


def read(x: np.ndarray, places: np.ndarray, *, relative: bool, ends: bool) -> np.ndarray:
    """Return x at the places; what `ends` is 0 beyond the first and the last pixel."""
    top = np.zeros((*x.shape[:2], *places.shape[2:]))
    for n, i, j in np.ndindex(len(x), *places.shape[2:]):
        u, v = places[n, :, i, j] + (np.array([j, i]) if relative else 0)
        if ends and not (0 <= u <= x.shape[3] - 1 and 0 <= v <= x.shape[2] - 1):
            continue
        left, above = floor(u), floor(v)
        a, b = u - left, v - above
        top[n, :, i, j] = (
            (1 - a) * (1 - b) * pixel(x[n], above, left)
            + a * (1 - b) * pixel(x[n], above, left + 1)
            + (1 - a) * b * pixel(x[n], above + 1, left)
            + a * b * pixel(x[n], above + 1, left + 1)
        )
    return top


def flows(*shape: int) -> np.ndarray:
    flow = RNG.uniform(-3, 3, shape)
    flow[0, :, 0, 0] = -0.5, 0.25  # half a pixel beyond the edge
    flow[0, :, -1, -1] = 0.5, 0.5
    flow[0, :, 1, 1] = 1, -1  # whole pixels
    return flow


KINDS = {
    "pwc": ("Warp", {"dialect": "flownet2"}, {"relative": True, "ends": True}),
    "lite": ("Warp", {"dialect": "liteflownet"}, {"relative": False, "ends": False}),
    "flow": ("FlowTransformer", {}, {"relative": True, "ends": False}),
    "remap": ("Remap", {}, {"relative": False, "ends": False}),
}


@pytest.mark.parametrize("name", KINDS)
def test_reading_elsewhere(name: str, tmp_path: Path) -> None:
    kind, options, how = KINDS[name]
    x, flow = RNG.normal(size=(2, 3, 5, 6)), flows(2, 2, 5, 6)
    if not how["relative"]:
        flow += np.array([2.5, 2])[:, None, None]
    want = read(x, flow, **how)
    assert (want != read(x, flow, relative=how["relative"], ends=not how["ends"])).any()
    inputs = {"x": x, "f": flow}
    dynamic = ("batch", "height", "width")
    check(layer(kind), inputs, {"y": want}, tmp_path, dynamic=dynamic, **options)
    flow = np.where(flow % 1 == 0, flow + 0.3, flow)  # at whole pixels the slope breaks
    check_gradients(layer(kind), {"x": x, "f": flow}, tmp_path, wrt=("x", "f"), **options)


def test_remap_has_the_size_of_its_coordinates(tmp_path: Path) -> None:
    x, places = RNG.normal(size=(2, 3, 5, 6)), RNG.uniform(-1, 6, (2, 2, 3, 4))
    want = read(x, places, relative=False, ends=False)
    check(layer("Remap"), {"x": x, "f": places}, {"y": want}, tmp_path)


@pytest.mark.parametrize("name", ["pwc", "lite", "flow"])
def test_a_place_for_each_pixel(name: str, tmp_path: Path) -> None:
    kind, options, _ = KINDS[name]
    with pytest.raises(CaffeError, match="differ in height or width"):
        load(layer(kind), {"x": np.zeros((1, 3, 4, 4)), "f": np.zeros((1, 2, 4, 5))}, tmp_path,
             **options)  # fmt: skip
    with pytest.raises(CaffeError, match="wants N x C x H x W"):
        load(layer(kind), {"x": np.zeros((1, 3, 4, 4)), "f": np.zeros((1, 3, 4, 4))}, tmp_path,
             **options)  # fmt: skip


def test_a_warp_whose_fork_nothing_tells_is_asked_about(tmp_path: Path) -> None:
    inputs = {"x": np.zeros((1, 3, 4, 4)), "f": np.zeros((1, 2, 4, 4))}
    with pytest.raises(CaffeError, match="means different things in different forks"):
        load(layer("Warp"), inputs, tmp_path)
    grid = 'layer { name: "g" type: "NegSquare" bottom: "f" top: "z" }\n'
    lite = load(grid + layer("Warp"), inputs, tmp_path)
    assert lite.layers["L"].fork == "liteflownet"
    correlation = (
        'layer { name: "c" type: "Correlation" bottom: "x" bottom: "x" top: "z" '
        "correlation_param { kernel_size: 1 max_displacement: 1 pad: 1 } }\n"
    )
    pwc = load(correlation + layer("Warp"), inputs, tmp_path)
    assert pwc.layers["L"].fork == "flownet2"


def test_grid(tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 3, 4, 5))
    want = np.zeros((2, 2, 4, 5))
    for n, row, column in np.ndindex(2, 4, 5):
        want[n, :, row, column] = column, row
    text = layer("Grid", "x").replace('"y"', '"g"') + layer("Eltwise", "g f")
    flow = RNG.normal(size=(2, 2, 4, 5))
    dynamic = ("batch", "height", "width")
    check(text, {"x": x, "f": flow}, {"y": want + flow}, tmp_path, dynamic=dynamic)


def test_neg_square(tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 3, 4))
    want = np.array([-v * v for v in x.flat]).reshape(x.shape)
    check(layer("NegSquare", "x"), {"x": x}, {"y": want}, tmp_path)
    check_gradients(layer("NegSquare", "x"), {"x": x}, tmp_path)


@pytest.mark.parametrize(
    ("param", "base", "scale", "shift"),
    [("", exp(1), 1, 0), ("base: 2 scale: 0.5 shift: 3", 2, 0.5, 3), ("shift: -1", exp(1), 1, -1)],
)
def test_exp_max(param: str, base: float, scale: float, shift: float, tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 3, 4, 5))
    want = np.zeros_like(x)
    for n, c, h, w in np.ndindex(*x.shape):
        most = max(x[n, k, h, w] for k in range(3))
        want[n, c, h, w] = base ** (shift + scale * (x[n, c, h, w] - most))
    text = layer("ExpMax", "x", f"expmax_param {{ {param} }}")
    check(text, {"x": x}, {"y": want}, tmp_path)


def test_exp_max_has_the_gradient_of_x_alone(tmp_path: Path) -> None:
    x = RNG.normal(size=(1, 3, 2, 2))
    net = load(layer("ExpMax", "x", "expmax_param { scale: 0.5 }"), {"x": x}, tmp_path)
    bottom = torch.from_numpy(x).requires_grad_()
    top = net.blobs({"x": bottom})["y"]
    top.sum().backward()
    assert bottom.grad is not None
    np.testing.assert_allclose(bottom.grad.numpy(), 0.5 * top.detach().numpy(), rtol=1e-12)


def test_exp_max_of_no_base(tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match="base is 0, wants -1 or more"):
        load(layer("ExpMax", "x", "expmax_param { base: 0 }"), {"x": np.zeros((1, 2))}, tmp_path)


@pytest.mark.parametrize("learns", [False, True])
def test_values_are_the_same_with_and_without_gradients(learns: bool) -> None:
    """By torch's operator, or by our own form; a place that is no number sees nothing."""
    image = torch.from_numpy(RNG.normal(size=(1, 2, 4, 1)))  # one column
    u = np.array([[[0, 0.5, -0.25, 0, np.nan, np.inf, -np.inf, 1e300, -1, 0]]])
    v = np.array([[[3, 1.5, 2, -0.75, 1, 1, 1, 1, 1, np.nan]]])
    places = [torch.from_numpy(one).requires_grad_(learns) for one in (u, v)]
    got = sample(image, *places).detach().numpy()
    seen = np.isfinite(u + v) & (abs(u) < 9)
    finite = np.where(seen, np.stack([u, v])[:, 0], -9)
    want = read(image.numpy(), finite.transpose(1, 0, 2)[:, :, None], relative=False, ends=False)
    np.testing.assert_allclose(got, want.reshape(got.shape), rtol=1e-12, atol=1e-12)
