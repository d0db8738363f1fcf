"""YOLOv5's Upsample against its loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from prototxt import CaffeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(1701)


def layer(param: str, bottoms: str = "x") -> str:
    ends = "".join(f' bottom: "{name}"' for name in bottoms.split())
    return f'layer {{ name: "L" type: "Upsample"{ends} top: "y" upsample_param {{ {param} }} }}'


def upsampled(x: np.ndarray, height: int, width: int, *, nearest: bool) -> np.ndarray:
    top = np.zeros((*x.shape[:2], height, width))
    for h, w in np.ndindex(height, width):
        if nearest:
            top[:, :, h, w] = x[:, :, h * x.shape[2] // height, w * x.shape[3] // width]
            continue
        down, across = (
            float(np.float32(have - 1) / np.float32(size - 1)) * at
            for have, size, at in ((x.shape[2], height, h), (x.shape[3], width, w))
        )
        row, column = int(np.float32(down)), int(np.float32(across))
        b, a = float(np.float32(down)) - row, float(np.float32(across)) - column
        rows = row, min(row + 1, x.shape[2] - 1)
        columns = column, min(column + 1, x.shape[3] - 1)
        lines = [(1 - a) * x[:, :, one, columns[0]] + a * x[:, :, one, columns[1]] for one in rows]
        top[:, :, h, w] = (1 - b) * lines[0] + b * lines[1]
    return top


CASES = {
    "height_scale: 2 width_scale: 3": ((6, 15), False),
    "height_scale: 2 width_scale: 3 mode: NEAREST": ((6, 15), True),
    "height: 7 width: 4 height_scale: 2 width_scale: 2 mode: NEAREST": ((7, 4), True),
    "height: 8 width: 11 mode: BILINEAR": ((8, 11), False),
}


@pytest.mark.parametrize("param", CASES)
def test_upsample(param: str, tmp_path: Path) -> None:
    size, nearest = CASES[param]
    x = RNG.normal(size=(2, 2, 3, 5))
    want = upsampled(x, *size, nearest=nearest)
    check(layer(param), {"x": x}, {"y": want}, tmp_path, dynamic=("batch",))
    check_gradients(layer(param), {"x": x[:1, :1]}, tmp_path)


def test_free_sizes(tmp_path: Path) -> None:
    x = RNG.normal(size=(1, 2, 32, 32))
    want = upsampled(x, 64, 96, nearest=True)
    text = layer("height_scale: 2 width_scale: 3 mode: NEAREST")
    check(text, {"x": x}, {"y": want}, tmp_path, dynamic=("batch", "height", "width"))


@pytest.mark.parametrize("mode", ["NEAREST", "BILINEAR"])
def test_as_large_as_another(mode: str, tmp_path: Path) -> None:
    x, like = RNG.normal(size=(2, 2, 3, 5)), np.zeros((2, 1, 7, 6))
    want = upsampled(x, 7, 6, nearest=mode == "NEAREST")
    inputs = {"x": x, "like": like}
    check(layer(f"mode: {mode}", "x like"), inputs, {"y": want}, tmp_path)


@pytest.mark.parametrize(
    ("param", "says"),
    [
        ("mode: NEAREST height_scale: 2", "wants height and width"),
        ("mode: NEAREST height_scale: 1 width_scale: 2", "want 2 or more"),
    ],
)
def test_refused(param: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=says):
        load(layer(param), {"x": np.zeros((1, 1, 3, 3))}, tmp_path)


def test_a_scale_alone_is_yolos(tmp_path: Path) -> None:
    net = load(layer("scale: 2"), {"x": np.zeros((1, 1, 3, 3))}, tmp_path)
    assert net.layers["L"].fork == "yolo"
