"""SegNet's Upsample against its loop: places, sizes, duplicates, and the pooling before it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from caffe_layers.base.registry import find
from prototxt import ShapeError, parse_text
from tests.support import restated
from tests.support.restated import check, check_gradients


def unpooled(x: np.ndarray, mask: np.ndarray, height: int, width: int) -> np.ndarray:
    top = np.zeros((*x.shape[:2], height * width))
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            for value, place in zip(x[n, c].ravel(), mask[n, c].ravel(), strict=True):
                top[n, c, int(place)] = value
    return top.reshape(*x.shape[:2], height, width)


def layer(fields: str = "") -> str:
    return (
        'layer { name: "L" type: "Upsample" bottom: "x" bottom: "mask" top: "y" '
        f"upsample_param {{ {fields} }} }}\n"
    )


def bottoms(shape: tuple[int, ...], places: int, *, twice: bool = False) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1701)
    each = shape[2] * shape[3]
    rows = [rng.choice(places, each, replace=twice) for _ in range(shape[0] * shape[1])]
    return {"x": rng.normal(size=shape), "mask": np.stack(rows).reshape(shape).astype(float)}


CASES = [
    ("", (2, 3, 3, 4), (6, 8)),
    ("scale: 3", (1, 2, 2, 3), (6, 9)),
    ("scale_h: 2 scale_w: 4", (1, 2, 3, 2), (6, 8)),
    ("pad_out_h: true", (2, 1, 3, 4), (5, 8)),
    ("scale: 2 pad_out_h: true pad_out_w: true", (2, 1, 3, 4), (5, 7)),
    ("upsample_h: 7 upsample_w: 9", (2, 2, 3, 4), (7, 9)),
    ("scale: 2 upsample_h: 7 upsample_w: 9", (2, 2, 3, 4), (7, 9)),
    ("", (1, 1, 1, 1), (2, 2)),
]


@pytest.mark.parametrize(("fields", "shape", "size"), CASES)
def test_each_value_goes_to_its_place(fields, shape, size, tmp_path: Path):
    inputs = bottoms(shape, size[0] * size[1])
    want = unpooled(inputs["x"], inputs["mask"], *size)
    check(layer(fields), inputs, {"y": want}, tmp_path)
    check_gradients(layer(fields), inputs, tmp_path)


@pytest.mark.parametrize(("fields", "shape", "size"), CASES[:6])
def test_onnx_follows_the_images_size(fields, shape, size, tmp_path: Path):
    inputs = bottoms(shape, size[0] * size[1])
    want = unpooled(inputs["x"], inputs["mask"], *size)
    check(layer(fields), inputs, {"y": want}, tmp_path, dynamic=("batch", "height", "width"))


def test_of_several_the_last_stays(tmp_path: Path):
    inputs = bottoms((2, 3, 4, 5), 7, twice=True)
    want = unpooled(inputs["x"], inputs["mask"], 8, 10)
    check(layer(), inputs, {"y": want}, tmp_path)
    check_gradients(layer(), inputs, tmp_path)


def test_it_undoes_the_pooling(tmp_path: Path):
    pool = (
        'layer { name: "P" type: "Pooling" bottom: "x" top: "p" top: "mask" '
        "pooling_param { pool: MAX kernel_size: 2 stride: 2 } }\n"
    )
    x = np.random.default_rng(1701).permutation(2 * 3 * 6 * 8).reshape(2, 3, 6, 8) / 7.0
    windows = x.reshape(2, 3, 3, 2, 4, 2)
    want = np.where(windows == windows.max((3, 5), keepdims=True), windows, 0).reshape(x.shape)
    text = pool + layer("scale: 2").replace('bottom: "x"', 'bottom: "p"')
    check(text, {"x": x}, {"y": want}, tmp_path, dynamic=("batch", "height", "width"))


def test_bottoms_tell_it_from_repeating():
    one = parse_text(layer().replace('bottom: "mask"', "")).layers[0]
    assert find(parse_text(layer()).layers[0]).__name__ == "SegNetUpsample"
    assert find(one).__name__ != "SegNetUpsample"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ("scale_h: 2", "wants scale, or scale_h and scale_w, or upsample_h and upsample_w"),
        ("scale: 2 scale_h: 2 scale_w: 2", "wants scale, or scale_h"),
        ("scale: 1", "scale .1, 1. wants 2 or more"),
        ("scale: 3 pad_out_h: true", "pad_out_h wants scale 2, got 3"),
        ("scale: 4 pad_out_w: true", "pad_out_w wants scale 2, got 4"),
        ("upsample_h: 1 upsample_w: 4", "wants 2 or more each"),
    ],
)
def test_refused(fields, says, tmp_path: Path):
    with pytest.raises(ShapeError, match=says):
        restated.load(layer(fields), bottoms((1, 1, 2, 2), 4), tmp_path)


def test_mask_of_another_shape_is_refused(tmp_path: Path):
    inputs = bottoms((1, 2, 2, 2), 4)
    inputs["mask"] = inputs["mask"][:, :1]
    with pytest.raises(ShapeError, match=r"its mask .1, 1, 2, 2. differ"):
        restated.load(layer(), inputs, tmp_path)


@pytest.mark.parametrize("place", [16, -1])
def test_place_beyond_the_top_is_refused(place, tmp_path: Path):
    inputs = bottoms((1, 1, 2, 2), 4)
    inputs["mask"][0, 0, 1, 1] = place
    net = restated.load(layer(), inputs, tmp_path)
    with pytest.raises(ShapeError, match="the mask's places go from"):
        net({name: torch.tensor(array) for name, array in inputs.items()})
