"""ROIAlign and ROIPooling with a margin against the forks' loops."""

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
        [1, 5.5, 4.25, 9, 8],
        [0, -6, -4, 12, 40],  # beyond every edge
        [1, 9, 12, 7, 15],  # narrower than nothing
        [0, 40, 40, 60, 50],  # outside
    ]
)


def layer(kind: str, param: str) -> str:
    return (
        f'layer {{ name: "L" type: "{kind}" bottom: "x" bottom: "r" top: "y" '
        f"roi_pooling_param {{ {param} }} }}"
    )


def roi_align(x: np.ndarray, rois: np.ndarray, bins: tuple[int, int], pad: float) -> np.ndarray:
    height, width = x.shape[2:]
    top = np.zeros((len(rois), x.shape[1], bins[0] + 1, bins[1] + 1))
    for r, (n, x1, y1, x2, y2) in enumerate(rois):
        across, down = (x2 - x1 + 1) * pad, (y2 - y1 + 1) * pad
        left, right = (x1 - across) * 0.25 - 0.5, (x2 + across) * 0.25 - 0.5
        above, below = (y1 - down) * 0.25 - 0.5, (y2 + down) * 0.25 - 0.5
        if right - left <= 0 or below - above <= 0:
            continue
        for i in range(bins[0] + 1):
            for j in range(bins[1] + 1):
                h = above + i * (below - above) / bins[0]
                w = left + j * (right - left) / bins[1]
                if h < -0.5 or h > height - 0.5 or w < -0.5 or w > width - 0.5:
                    continue
                h0, w0 = (min(max(floor(v), 0), size - 1) for v, size in ((h, height), (w, width)))
                h1 = min(max(floor(h) + 1, 0), height - 1)
                w1 = min(max(floor(w) + 1, 0), width - 1)
                b, a = (min(max(v, 0), size - 1) for v, size in ((h, height), (w, width)))
                b, a = b - h0, a - w0
                image = x[int(n)]
                top[r, :, i, j] = (
                    (1 - a) * (1 - b) * image[:, h0, w0]
                    + a * (1 - b) * image[:, h0, w1]
                    + (1 - a) * b * image[:, h1, w0]
                    + a * b * image[:, h1, w1]
                )
    return top


@pytest.mark.parametrize("pad", [0, 0.25])
@pytest.mark.parametrize("beyond", [(), (1, 1)])
def test_roi_align(pad: float, beyond: tuple[int, ...], tmp_path: Path) -> None:
    x = RNG.normal(size=(2, 3, 6, 8))
    want = roi_align(x, ROIS, (3, 4), pad)
    assert (want[:4] != 0).any((1, 2, 3)).all()
    assert not want[4].any()
    text = layer("ROIAlign", f"pooled_h: 3 pooled_w: 4 spatial_scale: 0.25 pad_ratio: {pad}")
    inputs = {"x": x, "r": ROIS.reshape(6, 5, *beyond)}
    check(text, inputs, {"y": want}, tmp_path)
    check_gradients(text, inputs, tmp_path)


def nearest(x: float) -> int:
    """Return the nearest whole number; halves go away from 0."""
    return floor(abs(x) + 0.5) * (1 if x >= 0 else -1)


def roi_pooling(x: np.ndarray, rois: np.ndarray, pad: float) -> np.ndarray:
    height, width = x.shape[2:]
    top = np.zeros((len(rois), x.shape[1], 3, 4))
    for r, (n, *roi) in enumerate(rois):
        margins = [(roi[2] - roi[0] + 1) * pad, (roi[3] - roi[1] + 1) * pad]
        edges = [nearest((v - m) * 0.25) for v, m in zip(roi[:2], margins, strict=True)]
        edges += [nearest((v + m) * 0.25) for v, m in zip(roi[2:], margins, strict=True)]
        sides = [max(edges[i + 2] - edges[i] + 1, 1) for i in (0, 1)]
        for i in range(3):
            for j in range(4):
                rows = [
                    edges[1] + floor(i * sides[1] / 3),
                    edges[1] - floor(-(i + 1) * sides[1] / 3),
                ]
                columns = [
                    edges[0] + floor(j * sides[0] / 4),
                    edges[0] - floor(-(j + 1) * sides[0] / 4),
                ]
                rows, columns = np.clip(rows, 0, height), np.clip(columns, 0, width)
                if rows[1] > rows[0] and columns[1] > columns[0]:
                    bin_ = x[int(n), :, rows[0] : rows[1], columns[0] : columns[1]]
                    top[r, :, i, j] = bin_.max((1, 2))
    return top


@pytest.mark.parametrize("pad", [0, 0.25])
def test_roi_pooling_with_a_margin(pad: float, tmp_path: Path) -> None:
    x, rois = RNG.normal(size=(2, 3, 6, 8)), ROIS[[0, 1, 2, 4]]
    text = layer("ROIPooling", f"pooled_h: 3 pooled_w: 4 spatial_scale: 0.25 pad_ratio: {pad}")
    inputs = {"x": x, "r": rois.reshape(4, 5, 1, 1)}
    want = roi_pooling(x, rois, pad)
    assert pad == 0 or (want != roi_pooling(x, rois, 0)).any()
    check(text, inputs, {"y": want}, tmp_path)
    check_gradients(text, inputs, tmp_path)


def test_pooled_size_of_nothing(tmp_path: Path) -> None:
    inputs = {"x": np.zeros((1, 1, 4, 4)), "r": ROIS[:1]}
    with pytest.raises(CaffeError, match="want 1 or more"):
        load(layer("ROIAlign", "pooled_h: 0 pooled_w: 4"), inputs, tmp_path)
