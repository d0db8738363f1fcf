"""ImResize and Nms against caffe_rtpose's kernels as loops."""

from __future__ import annotations

from math import floor
from pathlib import Path

import numpy as np
import pytest

from prototxt import CaffeError
from tests.support import restated

RNG = np.random.default_rng(1701)
F = np.float32


def cubic(v: list[np.ndarray], t: float) -> np.ndarray:
    a = -0.5 * v[0] + 1.5 * v[1] - 1.5 * v[2] + 0.5 * v[3]
    b = v[0] - 2.5 * v[1] + 2 * v[2] - 0.5 * v[3]
    return a * t * t * t + b * t * t + (-0.5 * v[0] + 0.5 * v[2]) * t + v[1]


def neighbours(at: F, inner: int, pad: int) -> tuple[list[int], float]:
    first = max(int(float(at) + 1e-5), 0)
    after = min(first + 1, inner - 1)
    places = [max(first - 1, 0), first, after, min(after + 1, inner - 1)]
    return [place + pad for place in places], float(at - F(first))


def imresize(x: np.ndarray, height: int, width: int, start: float, gap: float) -> np.ndarray:
    n, c, h, w = x.shape
    top = np.zeros((1, c, height, width))
    for i in range(n):
        part = F(1) - F(start) + F(i) * F(gap)
        pad_x, pad_y = floor(F(w // 2) * part), floor(F(h // 2) * part)
        inner_x, inner_y = w - 2 * pad_x, h - 2 * pad_y
        offset_x = F(float(F(width) / F(inner_x) / F(2)) - 0.5)
        offset_y = F(float(F(height) / F(inner_y) / F(2)) - 0.5)
        for v in range(height):
            rows, dy = neighbours((F(v) - offset_y) * (F(inner_y) / F(height)), inner_y, pad_y)
            for u in range(width):
                at = (F(u) - offset_x) * (F(inner_x) / F(width))
                columns, dx = neighbours(at, inner_x, pad_x)
                lines = [cubic([x[i, :, row, k] for k in columns], dx) for row in rows]
                top[0, :, v, u] += cubic(lines, dy) / n
    return top


def resize_text(fields: str) -> str:
    return (
        f'layer {{ name: "L" type: "ImResize" bottom: "x" top: "y" imresize_param {{ {fields} }} }}'
    )


@pytest.mark.parametrize(
    ("shape", "fields", "size", "start", "gap"),
    [
        ((1, 3, 5, 7), "factor: 8", (40, 56), 1, 0.1),
        ((1, 2, 5, 7), "factor: 1.5", (7, 10), 1, 0.1),
        ((3, 2, 9, 12), "factor: 4 start_scale: 0.9 scale_gap: 0.15", (36, 48), 0.9, 0.15),
        ((2, 2, 6, 8), "target_spatial_width: 5 target_spatial_height: 3", (3, 5), 1, 0.1),
        ((2, 1, 4, 4), "factor: 2 scale_gap: 0", (8, 8), 1, 0),
        ((1, 1, 1, 1), "factor: 3", (3, 3), 1, 0.1),
    ],
)
def test_imresize(
    shape: tuple[int, ...], fields: str, size: tuple[int, int], start: float, gap: float,
    tmp_path: Path,
) -> None:  # fmt: skip
    x = RNG.standard_normal(shape)
    want = imresize(x, *size, start, gap)
    dynamic = ("batch",) if shape != (1, 1, 1, 1) else ()
    restated.check(resize_text(fields), {"x": x}, {"y": want}, tmp_path, dynamic=dynamic)


def test_imresize_refused(tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=r"of 3 maps of \(4, 4\) only 2 are more than padding"):
        restated.load(
            resize_text("factor: 2 scale_gap: 0.5"), {"x": np.zeros((3, 1, 4, 4))}, tmp_path
        )
    with pytest.raises(CaffeError, match="the top would be"):
        restated.load(resize_text("factor: 0.1"), {"x": np.zeros((1, 1, 4, 4))}, tmp_path)
    x = {"x": np.zeros((1, 1, 1, 1))}
    with pytest.raises(CaffeError, match="the batch cannot be free"):
        restated.check(resize_text("factor: 2"), x, {"y": np.zeros((1, 1, 2, 2))}, tmp_path)


def nms(x: np.ndarray, threshold: float, parts: int, max_peaks: int) -> np.ndarray:
    n, channels, h, w = x.shape
    memory = np.concatenate([x.ravel(), np.zeros(3 * w)])
    top = np.zeros((n, parts, max_peaks + 1, 3))
    for i in range(n):
        for part in range(parts):
            plane = (i * channels + part) * h * w
            count = 0
            for y in range(1, h - 1):
                for u in range(1, w - 1):
                    value = memory[plane + y * w + u]
                    around = [
                        memory[plane + (y + dy) * w + u + dx]
                        for dy in (-1, 0, 1)
                        for dx in (-1, 0, 1)
                        if dy or dx
                    ]
                    if not (value > F(threshold) and value > max(around)):
                        continue
                    if count < max_peaks:
                        sums = np.zeros(3)
                        for dy in range(-3, 4):
                            for dx in range(-3, 4):
                                if not (0 < y + dy < w and 0 < u + dx < w):
                                    continue
                                score = memory[plane + (y + dy) * w + u + dx]
                                if score > 0:
                                    sums += score * np.array([u + dx, y + dy, 1])
                        with np.errstate(invalid="ignore"):  # where no row counts: NaN, as in C
                            x_mean, y_mean = sums[0] / sums[2], sums[1] / sums[2]
                        top[i, part, count + 1] = x_mean, y_mean, value
                    count += 1
            top[i, part, 0, 0] = count
    return top


def nms_text(threshold: float, parts: int, max_peaks: int) -> str:
    return (
        'layer { name: "L" type: "Nms" bottom: "x" top: "y" nms_param { '
        f"threshold: {threshold} num_parts: {parts} max_peaks: {max_peaks} }} }}"
    )


@pytest.mark.parametrize(
    ("shape", "threshold", "parts", "max_peaks"),
    [
        ((1, 5, 8, 12), 0.3, 3, 20),  # the map behind is read
        ((1, 3, 8, 12), 0.3, 3, 20),  # the last map has none behind it
        ((2, 3, 8, 12), 0.3, 3, 2),  # more peaks than rows, two images
        ((1, 4, 14, 7), 0.3, 4, 5),  # higher than wide: the lower rows do not count
        ((1, 2, 6, 6), 9, 2, 4),  # no peak at all
        ((1, 2, 3, 3), -5, 1, 30),  # more rows than pixels
    ],
)
def test_nms(
    shape: tuple[int, ...], threshold: float, parts: int, max_peaks: int, tmp_path: Path
) -> None:
    x = RNG.standard_normal(shape)
    if threshold == 0.3:
        x[0, 0, 2, 2:4] = 7  # a plateau is no peak
        x[0, 0, 0, 5] = 8  # nor is the border
        x[0, 1, -2, -2] = 9  # its surroundings reach over the edge
    want = nms(x, threshold, parts, max_peaks)
    if shape == (1, 2, 3, 3):
        x[0, 0, 1, 1] = 3
        want = nms(x, threshold, parts, max_peaks)
        assert want[0, 0, 0, 0] == 1
    assert threshold == 9 or want[..., 0, 0].any()
    dynamic = ("batch",) if shape[1] == parts else ()
    restated.check(
        nms_text(threshold, parts, max_peaks), {"x": x}, {"y": want}, tmp_path, dynamic=dynamic
    )


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 2, 5, 5), "has 2 maps, wants those of 3 parts"),
        ((2, 4, 5, 5), "holds 2 images, wants 1, or 3 maps in each"),
        ((1, 3, 2, 5), "has no pixel with 8 neighbours"),
    ],
)
def test_nms_refused(shape: tuple[int, ...], message: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=message):
        restated.load(nms_text(0.5, 3, 20), {"x": np.zeros(shape)}, tmp_path)


def test_maximum(tmp_path: Path) -> None:
    x = RNG.standard_normal((2, 3, 4, 5))
    x[0, 0] = -1 - x[0, 0] ** 2  # nothing above 0
    x[0, 1, 1:3, 2] = 9  # a tie
    want = np.zeros((2, 3, 1, 3))
    for i, c, _, _ in np.ndindex(*want.shape):
        best = max((x[i, c, v, u], -v, -u) for v in range(4) for u in range(5))
        want[i, c, 0] = -best[2], -best[1], best[0]
    layer = 'layer { name: "L" type: "Maximum" bottom: "x" top: "y" }'
    restated.check(layer, {"x": x}, {"y": want}, tmp_path, dynamic=("batch", "height", "width"))
