"""Dtow, PixelConv and LapPyr against loops: values, gradients, ONNX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from prototxt import CaffeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(15)


def layer(kind: str, param: str = "", bottoms: str = "x", tops: str = "y") -> str:
    ends = [f'bottom: "{name}"' for name in bottoms.split()]
    ends += [f'top: "{name}"' for name in tops.split()]
    return f'layer {{ name: "L" type: "{kind}" {" ".join(ends)} {param} }}'


def spread(x: np.ndarray, s: int) -> np.ndarray:
    n, c, h, w = x.shape
    top = np.empty((n, c // (s * s), h * s, w * s))
    for at in np.ndindex(top.shape):
        i, channel, row, column = at
        place = (channel * s + row % s) * s + column % s
        top[at] = x[i, place, row // s, column // s]
    return top


@pytest.mark.parametrize("s", [2, 3])
def test_dtow(s: int, tmp_path: Path) -> None:
    few = RNG.normal(size=(2, 2 * s * s, 2, 3))
    wide = spread(few, s)
    there = layer("Dtow", f"dtow_param {{ psize: {s} }}")
    back = layer("Dtow", f"dtow_param {{ psize: {s} method: MWTOD }}")
    check(there, {"x": few}, {"y": wide}, tmp_path, dynamic=("batch", "height", "width"))
    free = ("batch", "height", "width")[: 3 if s == 2 else 1]
    check(back, {"x": wide}, {"y": few}, tmp_path, dynamic=free)
    check_gradients(there, {"x": few}, tmp_path)
    check_gradients(back, {"x": wide}, tmp_path)


def test_psize_is_2_where_nothing_says_more(tmp_path: Path) -> None:
    x = RNG.normal(size=(1, 4, 2, 2))
    check(layer("Dtow"), {"x": x}, {"y": spread(x, 2)}, tmp_path)


def convolved(kernels: np.ndarray, x: np.ndarray) -> np.ndarray:
    n, c, h, w = x.shape
    k = round((kernels.shape[1] // c) ** 0.5)
    top = np.zeros(x.shape)
    for i, channel, row, column, a, b in np.ndindex(n, c, h, w, k, k):
        at = row + a - k // 2, column + b - k // 2
        if 0 <= at[0] < h and 0 <= at[1] < w:
            value = kernels[i, (channel * k + a) * k + b, row, column]
            top[i, channel, row, column] += value * x[i, channel, at[0], at[1]]
    return top


@pytest.mark.parametrize(("channels", "k"), [(1, 3), (2, 3), (3, 1), (1, 5)])
def test_pixel_conv(channels: int, k: int, tmp_path: Path) -> None:
    x = RNG.normal(size=(2, channels, 4, 5))
    kernels = RNG.normal(size=(2, channels * k * k, 4, 5))
    text = layer("PixelConv", bottoms="kernels x")
    inputs = {"kernels": kernels, "x": x}
    every = ("batch", "height", "width")
    check(text, inputs, {"y": convolved(kernels, x)}, tmp_path, dynamic=every)
    check_gradients(text, inputs, tmp_path, wrt=("kernels", "x"))


@pytest.mark.parametrize(("field", "still"), [("is_bpk", "kernels"), ("is_bpd", "x")])
def test_a_bottom_may_be_left_without_gradient(field: str, still: str, tmp_path: Path) -> None:
    inputs = {"kernels": RNG.normal(size=(1, 9, 3, 3)), "x": RNG.normal(size=(1, 1, 3, 3))}
    text = layer("PixelConv", f"pixelconvolution_param {{ {field}: false }}", "kernels x")
    moved = {name: torch.from_numpy(array).requires_grad_() for name, array in inputs.items()}
    load(text, inputs, tmp_path).blobs(moved)["y"].sum().backward()
    for name, tensor in moved.items():
        assert (tensor.grad is None or not tensor.grad.any()) == (name == still), name


WEIGHTS = [1, 4, 6, 4, 1]


def blurred(x: np.ndarray, over: int) -> np.ndarray:
    top = np.zeros(x.shape)
    for n, c, i, j, a, b in np.ndindex(*x.shape, 5, 5):
        row, column = i + a - 2, j + b - 2
        if 0 <= row < x.shape[2] and 0 <= column < x.shape[3]:
            top[n, c, i, j] += x[n, c, row, column] * WEIGHTS[a] * WEIGHTS[b] / over
    return top


def down(x: np.ndarray) -> np.ndarray:
    return blurred(x, 256)[:, :, ::2, ::2]


def up(x: np.ndarray) -> np.ndarray:
    wide = np.zeros((*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3]))
    wide[:, :, ::2, ::2] = x
    return blurred(wide, 64)


def test_laplacian_pyramid(tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 2, 8, 12))
    half, quarter = down(x), down(down(x))
    wants = {"a": x - up(half), "b": half - up(quarter), "c": quarter}
    there = layer("LapPyr", tops="a b c")
    every = ("batch", "height", "width")
    check(there, {"x": x}, wants, tmp_path, dynamic=every)
    for top in wants:
        check_gradients(there, {"x": x}, tmp_path, top=top)
    back = layer("LapPyr", "laplacianpyramid_param { is_down: false }", "a b c")
    check(back, wants, {"y": x}, tmp_path)
    other = {name: RNG.normal(size=level.shape) for name, level in wants.items()}
    top = other["a"] + up(other["b"] + up(other["c"]))
    check(back, other, {"y": top}, tmp_path)
    check_gradients(back, other, tmp_path, wrt=("a", "b", "c"))


@pytest.mark.parametrize(
    ("text", "shapes", "says"),
    [
        (layer("Dtow", "dtow_param { psize: 3 }"), {"x": (1, 4, 2, 2)}, "a multiple of 9"),
        (layer("Dtow", "dtow_param { psize: 0 }"), {"x": (1, 4, 2, 2)}, "wants 1 or more"),
        (layer("Dtow", "dtow_param { psize: 2 method: MWTOD }"), {"x": (1, 4, 3, 2)},
         "that psize 2 divides"),
        (layer("Dtow"), {"x": (1, 4, 2)}, "wants 4"),
        (layer("PixelConv", bottoms="k x"), {"k": (1, 8, 3, 3), "x": (1, 2, 3, 3)}, "an odd size"),
        (layer("PixelConv", bottoms="k x"), {"k": (1, 10, 3, 3), "x": (1, 1, 3, 3)},
         r"wants .1, 9, 3, 3."),
        (layer("PixelConv", bottoms="k x"), {"k": (1, 9, 3, 4), "x": (1, 1, 3, 3)},
         r"wants .1, 9, 3, 3."),
        (layer("PixelConv", "pixelconvolution_param { is_pad: false }", "k x"),
         {"k": (1, 9, 3, 3), "x": (1, 1, 3, 3)}, "never sets its padding"),
        (layer("LapPyr", tops="a b c"), {"x": (1, 1, 8, 6)}, "that 4 divides"),
        (layer("LapPyr", tops="a b"), {"x": (1, 1, 8, 8)}, "wants 1 bottoms and 3 tops"),
        (layer("LapPyr", "laplacianpyramid_param { is_down: false }", "a b c"),
         {"a": (1, 1, 8, 8), "b": (1, 1, 4, 4), "c": (1, 1, 4, 4)}, "the levels are"),
    ],
)  # fmt: skip
def test_refused(text: str, shapes: dict[str, tuple[int, ...]], says: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=says):
        load(text, {name: np.ones(shape) for name, shape in shapes.items()}, tmp_path)
