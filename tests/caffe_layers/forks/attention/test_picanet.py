"""PiCANet's layers against loops: values, gradients, ONNX."""

from __future__ import annotations

from math import exp, tanh
from pathlib import Path

import numpy as np
import pytest
import torch

import converter
from prototxt import CaffeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(15)


def pooling(param: str) -> str:
    return (
        'layer { name: "L" type: "AttPooling" bottom: "x" bottom: "a" top: "y" '
        f"att_pooling_param {{ {param} }} }}"
    )


def attended(
    x: np.ndarray, a: np.ndarray, k: int, pad: int, stride: int, dilation: int, whole: bool
):
    n, c, h, w = x.shape
    top = np.zeros((n, c, *a.shape[2:]))
    for at in np.ndindex(top.shape):
        i, channel, row, column = at
        first = (0, 0) if whole else (row * stride, column * stride)
        for p, q in np.ndindex(k, k):
            y, z = first[0] - pad + p * dilation, first[1] - pad + q * dilation
            if 0 <= y < h and 0 <= z < w:
                top[at] += x[i, channel, y, z] * a[i, p * k + q, row, column]
    return top


@pytest.mark.parametrize(
    ("said", "shape", "place", "options"),
    [
        ("kernel_size: 3 pad: 1", (4, 5), (4, 5), (3, 1, 1, 1)),
        ("att_mode: LOCAL kernel_size: 3 pad: 2 dilation: 2", (4, 5), (4, 5), (3, 2, 1, 2)),
        ("kernel_size: 2 stride: 2", (4, 6), (2, 3), (2, 0, 2, 1)),
    ],
)
def test_local_attention(said, shape, place, options, tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 3, *shape))
    a = RNG.normal(size=(2, options[0] ** 2, *place))
    inputs = {"x": x, "a": a}
    free = ("batch", "height", "width") if shape == place else ("batch",)
    want = {"y": attended(x, a, *options, whole=False)}
    check(pooling(said), inputs, want, tmp_path, dynamic=free)
    check_gradients(pooling(said), inputs, tmp_path, wrt=("x", "a"))


@pytest.mark.parametrize(
    ("said", "side", "options"),
    [
        ("", 3, (3, 0, 1, 1)),
        ("kernel_size: 2 dilation: 3", 4, (2, 0, 1, 3)),
        ("kernel_size: 3 pad: 1 dilation: 2", 3, (3, 1, 1, 2)),
    ],
)
def test_global_attention(said, side, options, tmp_path: Path) -> None:
    x, a = RNG.normal(size=(2, 3, side, side)), RNG.normal(size=(2, options[0] ** 2, 2, 3))
    inputs = {"x": x, "a": a}
    text = pooling(f"att_mode: GLOBAL {said}")
    check(text, inputs, {"y": attended(x, a, *options, whole=True)}, tmp_path)
    check_gradients(text, inputs, tmp_path, wrt=("x", "a"))


def lstm(param: str) -> str:
    return (
        'layer { name: "L" type: "ReNetLSTM" bottom: "x" top: "y" '
        f"renet_lstm_param {{ num_output: 2 {param} }} }}"
    )


def sigmoid(value: float) -> float:
    return 1 / (1 + exp(-value))


def stepped(x: np.ndarray, blobs: list[np.ndarray], peephole: bool, order) -> np.ndarray:
    """Run the steps of one direction over T x I values."""
    w, s, b = blobs[:4], blobs[4:7], blobs[7:]
    h, c, made = np.zeros(2), np.zeros(2), np.zeros((len(x), 2))
    for t in order:
        seen = np.concatenate([x[t], h])
        i, g, o, f = (matrix @ seen + bias for matrix, bias in zip(w, b, strict=True))
        if peephole:
            i, f = i + s[0] @ c, f + s[2] @ c
        new = [sigmoid(f[d]) * c[d] + sigmoid(i[d]) * tanh(g[d]) for d in range(2)]
        c = np.array(new)
        o = o + s[1] @ c if peephole else o
        h = np.array([sigmoid(o[d]) * tanh(c[d]) for d in range(2)])
        made[t] = h
    return made


def walked(x: np.ndarray, blobs, direction: str, patch: tuple[int, int], peephole: bool):
    n, _, height, width = x.shape
    rows, columns = height // patch[0], width // patch[1]
    top = np.zeros((n, 4, rows, columns))
    lines, steps = (rows, columns) if direction == "X_DIR" else (columns, rows)
    for image, line in np.ndindex(n, lines):
        cells = []
        for t in range(steps):
            y, z = (line, t) if direction == "X_DIR" else (t, line)
            part = x[image, :, y * patch[0] : (y + 1) * patch[0], z * patch[1] : (z + 1) * patch[1]]
            cells.append(part.ravel())
        there = stepped(np.array(cells), blobs[:11], peephole, range(steps))
        back = stepped(np.array(cells), blobs[11:], peephole, reversed(range(steps)))
        both = np.concatenate([there, back], 1).T
        if direction == "X_DIR":
            top[image, :, line, :] = both
        else:
            top[image, :, :, line] = both
    return top


@pytest.mark.parametrize("direction", ["X_DIR", "Y_DIR"])
@pytest.mark.parametrize(("patch", "peephole"), [((1, 1), False), ((1, 1), True), ((2, 1), False)])
def test_renet_lstm(direction: str, patch, peephole: bool, tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 3, 4, 3))
    inputs = 3 * patch[0] * patch[1]
    shapes = [(2, inputs + 2)] * 4 + [(2, 2)] * 3 + [(2,)] * 4
    blobs = [RNG.normal(size=shape) for shape in shapes * 2]
    text = lstm(f"direction: {direction} peephole: {str(peephole).lower()} "
                f"patch_height: {patch[0]} patch_width: {patch[1]}")  # fmt: skip
    want = {"y": walked(x, blobs, direction, patch, peephole)}
    free = ("batch", "height", "width") if patch == (1, 1) else ("batch",)
    check(text, {"x": x}, want, tmp_path, blobs={"L": blobs}, dynamic=free)
    check_gradients(text, {"x": x[:1]}, tmp_path, blobs={"L": blobs})
    net = load(text, {"x": x}, tmp_path, blobs={"L": blobs})
    net({"x": torch.from_numpy(x)})["y"].sum().backward()
    learnt = [blob.grad is not None for blob in net.params["L"]]
    assert learnt == ([True] * 4 + [peephole] * 3 + [True] * 4) * 2


def test_peepholes_and_x_are_what_is_meant_where_nothing_is_said(tmp_path: Path) -> None:
    x = RNG.normal(size=(1, 2, 2, 3))
    shapes = [(2, 4)] * 4 + [(2, 2)] * 3 + [(2,)] * 4
    blobs = [RNG.normal(size=shape) for shape in shapes * 2]
    want = {"y": walked(x, blobs, "X_DIR", (1, 1), peephole=True)}
    check(lstm(""), {"x": x}, want, tmp_path, blobs={"L": blobs}, onnx=False)


def test_fillers_fill_their_own_blobs(tmp_path: Path) -> None:
    fillers = ("general_weight_filler { value: 1 } general_bias_filler { value: 2 } "
               "forget_gate_bias_filler { value: 3 } input_gate_bias_filler { value: 4 } "
               "output_gate_bias_filler { value: 5 }")  # fmt: skip
    for peephole, of_c in (("true", 1), ("false", 0)):
        text = lstm(f"{fillers} peephole: {peephole}")
        net = load(text, {"x": np.ones((1, 2, 2, 3))}, tmp_path)
        values = [blob.flatten()[0].item() for blob in net.params["L"]]
        assert values == [1] * 4 + [of_c] * 3 + [4, 2, 5, 3] + [1] * 4 + [of_c] * 3 + [4, 2, 5, 3]


def test_patches_of_an_image_of_unknown_size_are_refused(tmp_path: Path) -> None:
    net = load(lstm("patch_height: 2"), {"x": np.ones((1, 2, 4, 3))}, tmp_path)
    with pytest.raises(CaffeError, match="want an image whose height and width are known"):
        converter.export_onnx(net, tmp_path / "net.onnx", dynamic=("width",))


X, A = (1, 2, 4, 4), (1, 9, 4, 4)


@pytest.mark.parametrize(
    ("text", "shapes", "says"),
    [
        (pooling("kernel_size: 3"), (X, A), r"wants .1, 9, 2, 2."),
        (pooling("kernel_size: 2 pad: 1 stride: 2"), (X, A), r"wants .1, 4, 3, 3."),
        (pooling(""), (X, A), "LOCAL attention wants a kernel_size"),
        (pooling("att_mode: GLOBAL stride: 2"), (X, A), "has stride 2, wants 1"),
        (pooling("att_mode: GLOBAL dilation: 2"), (X, A), "the dilation is 2, wants 1"),
        (pooling("att_mode: GLOBAL kernel_size: 3"), (X, A), "covers once"),
        (pooling("att_mode: GLOBAL"), ((1, 2, 4, 5), A), "covers once"),
        (lstm("patch_height: 3"), (X,), "that the patch 3 x 1 divides"),
        (lstm("").replace("num_output: 2", ""), (X,), "num_output is 0"),
        (lstm(""), ((1, 2, 3),), "wants 4"),
    ],
)
def test_refused(text: str, shapes, says: str, tmp_path: Path) -> None:
    inputs = {name: np.ones(shape) for name, shape in zip("xa", shapes, strict=False)}
    with pytest.raises(CaffeError, match=says):
        load(text, inputs, tmp_path)


def test_pw_attend_says_which_source_would_tell(tmp_path: Path) -> None:
    text = (
        'layer { name: "L" type: "PwAttend" bottom: "x" bottom: "a" top: "y" '
        "pw_attend_param { att_mode: LOCAL kernel_size: 5 pad: 2 } }"
    )
    with pytest.raises(CaffeError, match=r"its source was never published.*AttPooling"):
        load(text, {"x": np.ones(X), "a": np.ones(A)}, tmp_path)
