"""Interp against the catalogue's formula as plain loops: sizes, corners, crops, gradients, ONNX."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import caffe_layers
from prototxt import ShapeError
from tests.support import restated
from tests.support.restated import check, check_gradients

f32 = np.float32


def size_of(have: int, given: dict[str, int], name: str) -> int:
    """Return the top's height or width; which fields are there counts, not their values."""
    zoom, shrink = given.get("zoom_factor"), given.get("shrink_factor")
    if shrink is not None and zoom is None:
        return (have - 1) // shrink + 1
    if zoom is not None and shrink is None:
        return have + (have - 1) * (zoom - 1)
    if "height" in given and "width" in given:
        return given[name]
    have = (have - 1) // shrink + 1
    return have + (have - 1) * (zoom - 1)


def interp(x: np.ndarray, **given: int) -> np.ndarray:
    begin, end = given.get("pad_beg", 0), given.get("pad_end", 0)
    x = x[:, :, -begin : x.shape[2] + end, -begin : x.shape[3] + end]
    height, width = x.shape[2:]
    rows, columns = size_of(height, given, "height"), size_of(width, given, "width")
    top = np.zeros((*x.shape[:2], rows, columns))
    ratio_h = f32(height - 1) / f32(rows - 1) if rows > 1 else f32(0)
    ratio_w = f32(width - 1) / f32(columns - 1) if columns > 1 else f32(0)
    for n, c, i, j in np.ndindex(*top.shape):
        at_h, at_w = ratio_h * f32(i), ratio_w * f32(j)
        h, w = int(at_h), int(at_w)
        next_h, next_w = min(h + 1, height - 1), min(w + 1, width - 1)
        part_h, part_w = float(at_h - f32(h)), float(at_w - f32(w))
        upper = (1 - part_w) * x[n, c, h, w] + part_w * x[n, c, h, next_w]
        lower = (1 - part_w) * x[n, c, next_h, w] + part_w * x[n, c, next_h, next_w]
        top[n, c, i, j] = (1 - part_h) * upper + part_h * lower
    return top


def layer(**given: int) -> str:
    fields = " ".join(f"{name}: {value}" for name, value in given.items())
    return (
        f'layer {{ name: "L" type: "Interp" bottom: "x" top: "y" interp_param {{ {fields} }} }}\n'
    )


def image(*shape: int) -> np.ndarray:
    return np.random.default_rng(1701).normal(size=shape)


CASES = [
    ((2, 3, 5, 7), {"zoom_factor": 3}),
    ((1, 2, 9, 8), {"shrink_factor": 3}),
    ((2, 1, 4, 5), {"height": 11, "width": 6}),
    ((2, 1, 11, 6), {"height": 4, "width": 5}),
    ((1, 2, 9, 10), {"zoom_factor": 2, "shrink_factor": 3}),
    ((1, 2, 4, 5), {"zoom_factor": 2, "height": 3, "width": 3}),
    ((1, 2, 7, 5), {"zoom_factor": 2, "shrink_factor": 2, "height": 6, "width": 3}),
    ((1, 2, 8, 9), {"shrink_factor": 2, "pad_beg": -1, "pad_end": -2}),
    ((1, 2, 8, 9), {"zoom_factor": 2, "pad_beg": -3}),
    ((1, 2, 6, 6), {"zoom_factor": 1}),
    ((2, 2, 1, 1), {"zoom_factor": 8}),
    ((2, 2, 1, 4), {"height": 3, "width": 1}),
    ((1, 1, 3, 3), {"height": 1, "width": 5}),
]


@pytest.mark.parametrize(("shape", "given"), CASES)
def test_every_size_is_the_formulas(shape, given, tmp_path: Path):
    x = image(*shape)
    want = interp(x, **given)
    check(layer(**given), {"x": x}, {"y": want}, tmp_path)
    net = restated.load(layer(**given), {"x": x}, tmp_path)
    assert net.shapes()["y"] == want.shape


@pytest.mark.parametrize(("shape", "given"), CASES[:9])
def test_gradient_is_the_derivative(shape, given, tmp_path: Path):
    check_gradients(layer(**given), {"x": image(*shape)}, tmp_path)


@pytest.mark.parametrize(("shape", "given"), [CASES[0], CASES[1], CASES[2], CASES[4], CASES[7]])
def test_onnx_follows_the_images_size(shape, given, tmp_path: Path):
    x = image(*shape)
    dynamic = ("batch", "height", "width")
    check(layer(**given), {"x": x}, {"y": interp(x, **given)}, tmp_path, dynamic=dynamic)


def test_second_bottom_gives_the_size(tmp_path: Path):
    text = (
        'layer { name: "L" type: "Interp" bottom: "x" bottom: "ref" top: "y" '
        "interp_param { use_blob_size: true } }\n"
        'layer { name: "s" type: "Silence" bottom: "ref" }\n'
    )
    inputs = {"x": image(2, 3, 4, 5), "ref": image(2, 1, 7, 3)}
    want = interp(inputs["x"], height=7, width=3)
    check(text, inputs, {"y": want}, tmp_path)
    check(text, inputs, {"y": want}, tmp_path, dynamic=("batch", "height", "width"))


def test_it_is_not_half_pixel_resizing(tmp_path: Path):
    """A reader that resizes as most libraries do is off by up to a pixel: here by a sixth."""
    x = np.arange(5.0).reshape(1, 1, 1, 5).repeat(2, 2)
    ours = restated.load(layer(height=2, width=9), {"x": x}, tmp_path)({"x": torch.tensor(x)})
    halved = torch.nn.functional.interpolate(torch.tensor(x), (2, 9), mode="bilinear")
    assert ours["y"][0, 0, 0].tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3.5, 4]
    assert (ours["y"] - halved).abs().max() > 0.15


def test_built_by_hand():
    x = image(1, 2, 3, 4)
    got = caffe_layers.Interp(zoom_factor=2)(torch.tensor(x))
    assert np.allclose(got, interp(x, zoom_factor=2))


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({}, "no size, wants a factor, height and width, or use_blob_size"),
        ({"height": 4}, "no size"),
        ({"zoom_factor": 0}, "zoom_factor is 0, wants 1 or more"),
        ({"shrink_factor": -1}, "shrink_factor is -1, wants 1 or more"),
        ({"zoom_factor": 2, "pad_beg": 1}, "pad_beg is 1, wants 0 or less"),
        ({"zoom_factor": 2, "pad_beg": -3, "pad_end": -2}, "leave nothing of"),
        ({"height": 0, "width": 4}, "the top would be"),
    ],
)
def test_refused(given, says, tmp_path: Path):
    with pytest.raises(ShapeError, match=says):
        restated.load(layer(**given), {"x": image(1, 1, 5, 6)}, tmp_path)


def test_second_bottom_without_a_word_is_refused(tmp_path: Path):
    text = layer(zoom_factor=2).replace('bottom: "x"', 'bottom: "x" bottom: "x"')
    with pytest.raises(ShapeError, match="2 bottoms, wants 1"):
        restated.load(text, {"x": image(1, 1, 5, 6)}, tmp_path)


@pytest.mark.parametrize("number", [143, 163, 205])
def test_binary_numbers_of_forks_mean_the_same(number, tmp_path: Path):
    """DeepLab's, synopsys' and ncnn's: in a file with no other sign the type says what it is."""
    from prototxt.binary.caffemodel import parse_binary

    def field(at: int, payload: bytes) -> bytes:
        key, out = at << 3 | 2, b""
        for value in (key, len(payload)):
            while value > 127:
                out += bytes([value & 127 | 128])
                value >>= 7
            out += bytes([value])
        return out + payload

    body = field(1, b"L") + field(2, b"Interp") + field(3, b"x") + field(4, b"y")
    body += field(number, b"\x18\x02")
    net = parse_binary(memoryview(field(100, body)), "net.caffemodel").net
    assert net is not None
    assert net.layers[0].interp_param.zoom_factor == 2
