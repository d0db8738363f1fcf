"""ROIWarping, MaskPooling and MaskResize against MNC's loops."""

from __future__ import annotations

from math import floor
from pathlib import Path

import numpy as np
import pytest

from prototxt import CaffeError
from tests.support.restated import check, check_gradients, load

RNG = np.random.default_rng(1701)
ROIS = np.array(
    [
        [0, 1, 2, 20, 17],
        [1, 0, 0, 30, 25],
        [1, 6, 10, 9, 8],
        [0, -2, -4, 12, 40],  # beyond every edge, and a half of a pixel of the map
        [1, 9, 12, 7, 15],  # narrower than nothing
        [0, 40, 40, 60, 50],  # outside
    ]
)


def bilinear(plane: np.ndarray, h: float, w: float) -> float:
    height, width = plane.shape
    if h < -0.5 or h > height - 0.5 or w < -0.5 or w > width - 0.5:
        return 0
    h, w = min(max(h, 0), height - 1), min(max(w, 0), width - 1)
    h0, w0 = floor(h), floor(w)
    h1, w1 = min(h0 + 1, height - 1), min(w0 + 1, width - 1)
    b, a = h - h0, w - w0
    above = (1 - a) * plane[h0, w0] + a * plane[h0, w1]
    return (1 - b) * above + b * ((1 - a) * plane[h1, w0] + a * plane[h1, w1])


def nearest(x: float) -> int:
    """Return the nearest whole number; halves go away from 0."""
    return floor(abs(x) + 0.5) * (1 if x >= 0 else -1)


def warped(x: np.ndarray, rois: np.ndarray, bins: tuple[int, int]) -> np.ndarray:
    top = np.zeros((len(rois), x.shape[1], *bins))
    for r, c, i, j in np.ndindex(*top.shape):
        left, upper, right, lower = (nearest(v * 0.25) for v in rois[r, 1:])
        h = upper + i * (max(lower - upper, 0) / bins[0])
        w = left + j * (max(right - left, 0) / bins[1])
        top[r, c, i, j] = bilinear(x[int(rois[r, 0]), c], h, w)
    return top


def warping(param: str = "pooled_h: 3 pooled_w: 4 spatial_scale: 0.25") -> str:
    return (
        'layer { name: "L" type: "ROIWarping" bottom: "x" bottom: "r" top: "y" '
        f"roi_warping_param {{ {param} }} }}"
    )


@pytest.mark.parametrize("beyond", [(), (1, 1)])
def test_roi_warping(beyond: tuple[int, ...], tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 3, 6, 8))
    want = warped(x, ROIS, (3, 4))
    assert want[:5].any((1, 2, 3)).all()
    assert (want[3] == 0).any()
    assert not want[5].any()
    inputs = {"x": x, "r": ROIS.reshape(6, 5, *beyond)}
    check(warping(), inputs, {"y": want}, tmp_path)
    if not beyond:
        check(warping(), inputs, {"y": want}, tmp_path, dynamic=("batch", "height", "width"))
    check_gradients(warping(), inputs, tmp_path)


def test_roi_warping_refused(tmp_path: Path) -> None:
    inputs = {"x": np.zeros((1, 1, 4, 4)), "r": ROIS[:1]}
    with pytest.raises(CaffeError, match="want 1 or more"):
        load(warping("pooled_w: 4"), inputs, tmp_path)


POOLING = 'layer { name: "L" type: "MaskPooling" bottom: "x" bottom: "m" top: "y" }'


def test_mask_pooling(tmp_path: Path) -> None:
    x, masks = RNG.normal(size=(2, 3, 4, 5)), RNG.normal(size=(2, 1, 4, 5))
    want = np.zeros(x.shape)
    for n, c, h, w in np.ndindex(*x.shape):
        want[n, c, h, w] = x[n, c, h, w] * masks[n, 0, h, w]
    inputs = {"x": x, "m": masks}
    check(POOLING, inputs, {"y": want}, tmp_path)
    check_gradients(POOLING, inputs, tmp_path, wrt=("x", "m"))


@pytest.mark.parametrize("masks", [(2, 1, 5, 4), (2, 3, 4, 5), (1, 1, 4, 5)])
def test_mask_pooling_refused(masks: tuple[int, ...], tmp_path: Path) -> None:
    inputs = {"x": np.zeros((2, 3, 4, 5)), "m": np.zeros(masks)}
    with pytest.raises(CaffeError, match="wants \\(2, 1, 4, 5\\)"):
        load(POOLING, inputs, tmp_path)


def resize(param: str) -> str:
    return (
        'layer { name: "L" type: "MaskResize" bottom: "x" top: "y" '
        f"mask_resize_param {{ {param} }} }}"
    )


@pytest.mark.parametrize("size", [(7, 9), (2, 3), (13, 5), (5, 40)])
def test_mask_resize(size: tuple[int, int], tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 3, 4, 5))
    want = np.zeros((2, 3, *size))
    for n, c, h, w in np.ndindex(*want.shape):
        want[n, c, h, w] = bilinear(x[n, c], h * 4 / size[0], w * 5 / size[1])
    text = resize(f"output_height: {size[0]} output_width: {size[1]}")
    check(text, {"x": x}, {"y": want}, tmp_path)
    check_gradients(text, {"x": x[:1, :1]}, tmp_path)


def test_mask_resize_refused(tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match="want 1 or more"):
        load(resize("output_height: 3"), {"x": np.zeros((1, 1, 4, 4))}, tmp_path)
