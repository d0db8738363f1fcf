"""Resample, Downsample and Accum against FlowNet2's kernels as loops."""

from __future__ import annotations

from math import ceil, floor, nan
from pathlib import Path

import numpy as np
import pytest

import caffe_layers
from prototxt import CaffeError
from tests.support import restated

RNG = np.random.default_rng(1701)
F = np.float32


def c_round(x: float) -> int:
    return floor(abs(x) + 0.5) * (1 if x >= 0 else -1)


def triangle(x: float) -> float:
    return max(0.0, 1 - abs(x))


def cubic(x: float) -> float:
    x = abs(x)
    if x <= 1:
        return x * x * (1.5 * x - 2.5) + 1
    return x * (x * (-0.5 * x + 2.5) - 4) + 2 if x < 2 else 0.0


def resample(x: np.ndarray, height: int, width: int, kind: str, antialias: bool) -> np.ndarray:
    n, c, h, w = x.shape
    fx, fy = F(w) / F(width), F(h) / F(height)
    top = np.zeros((n, c, height, width))
    widen = (fx > 1 or fy > 1) and antialias
    ax, ay = (F(1) / (f if widen else F(1)) for f in (fx, fy))
    reach = {"LINEAR": 2, "CUBIC": 4}.get(kind, 0)
    filter_ = triangle if kind == "LINEAR" else cubic
    rx = 2 if fx < 1 else ceil(F(reach) / ax)
    ry = 2 if fy < 1 else ceil(F(reach) / ay)
    for v in range(height):
        for u in range(width):
            at_x = F(F(u) * fx) + fy / F(2) - F(0.5)
            at_y = F(F(v) * fy) + fx / F(2) - F(0.5)
            cx, cy = c_round(float(at_x)), c_round(float(at_y))
            if kind == "NEAREST":
                top[:, :, v, u] = x[:, :, cy, cx]
                continue
            total, weights = np.zeros((n, c)), 0.0
            for j in range(max(cy - ry, 0), min(cy + ry, h - 1) + 1):
                for i in range(max(cx - rx, 0), min(cx + rx, w - 1) + 1):
                    weight = filter_(float(ax) * (float(at_x) - i))
                    weight *= filter_(float(ay) * (float(at_y) - j))
                    total += weight * x[:, :, j, i]
                    weights += weight
            top[:, :, v, u] = total / weights if weights else 0
    return top


RESAMPLE = [
    # bottom, top: up, down, mixed, one pixel
    ((4, 5), (9, 11)),
    ((4, 5), (4, 5)),
    ((9, 11), (4, 5)),
    ((12, 10), (3, 2)),
    ((4, 12), (8, 3)),
    ((1, 1), (3, 2)),
    ((3, 2), (1, 1)),
]


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("kind", ["LINEAR", "CUBIC"])
@pytest.mark.parametrize(("bottom", "top"), RESAMPLE)
def test_resample(
    bottom: tuple[int, int], top: tuple[int, int], kind: str, antialias: bool, tmp_path: Path
) -> None:
    x = RNG.standard_normal((2, 3, *bottom))
    layer = (
        'layer { name: "L" type: "Resample" bottom: "x" top: "y" resample_param { '
        f"height: {top[0]} width: {top[1]} type: {kind} antialias: {str(antialias).lower()} }} }}"
    )
    restated.check(layer, {"x": x}, {"y": resample(x, *top, kind, antialias)}, tmp_path)


@pytest.mark.parametrize(("bottom", "top"), [((4, 6), (8, 12)), ((9, 9), (4, 4)), ((5, 5), (5, 5))])
def test_nearest_takes_the_size_of_a_second_bottom(
    bottom: tuple[int, int], top: tuple[int, int], tmp_path: Path
) -> None:
    x, reference = RNG.standard_normal((2, 3, *bottom)), np.zeros((2, 1, *top))
    layer = (
        'layer { name: "L" type: "Resample" bottom: "x" bottom: "r" top: "y" '
        "resample_param { type: NEAREST } }"
    )
    want = resample(x, *top, "NEAREST", True)
    restated.check(layer, {"x": x, "r": reference}, {"y": want}, tmp_path)


def test_a_lone_factor_multiplies_the_size(tmp_path: Path) -> None:
    x = RNG.standard_normal((1, 1, 2, 3))
    layer = (
        'layer { name: "L" type: "Resample" bottom: "x" top: "y" '
        "resample_param { type: NEAREST antialias: false factor: 2 } }"
    )
    want = resample(x, 4, 6, "NEAREST", False)
    assert np.array_equal(want, x.repeat(2, 2).repeat(2, 3))
    restated.check(layer, {"x": x}, {"y": want}, tmp_path)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ("", "no size, wants height and width, a second bottom, or a factor"),
        ("height: 4", "wants height and width above 0"),
        ("height: 4 width: 4 type: AREA", "type AREA is none of NEAREST, LINEAR, CUBIC"),
        ("height: 1 width: 5 type: NEAREST", "reads beyond the image, as the factors differ"),
    ],
)
def test_resample_refused(fields: str, message: str, tmp_path: Path) -> None:
    layer = (
        f'layer {{ name: "L" type: "Resample" bottom: "x" top: "y" resample_param {{ {fields} }} }}'
    )
    with pytest.raises(CaffeError, match=message):
        restated.load(layer, {"x": np.zeros((1, 1, 5, 5))}, tmp_path)


def test_free_sizes_are_refused(tmp_path: Path) -> None:
    layer = (
        'layer { name: "L" type: "Resample" bottom: "x" top: "y" '
        "resample_param { height: 3 width: 3 } }"
    )
    x = np.zeros((1, 1, 5, 5))
    with pytest.raises(CaffeError, match="depend on height and width, which are not fixed"):
        restated.check(
            layer,
            {"x": x},
            {"y": np.zeros((1, 1, 3, 3))},
            tmp_path,
            dynamic=("batch", "height", "width"),
        )


def downsample(x: np.ndarray, height: int, width: int) -> np.ndarray:
    n, c, h, w = x.shape
    if (h, w) == (height, width):
        return x
    ws, hs = F(w - 1) / F(width - 1), F(h - 1) / F(height - 1)
    top = np.zeros((n, c, height, width))
    for i, m, v, u in np.ndindex(*top.shape):
        at_x, at_y = F(u) / F(width - 1) * F(w - 1), F(v) / F(height - 1) * F(h - 1)
        cx, cy = c_round(float(at_x)), c_round(float(at_y))
        value = weights = unknown = 0.0
        for b in range(cy - ceil(hs), cy + ceil(hs) + 1):
            for a in range(cx - ceil(ws), cx + ceil(ws) + 1):
                if not (0 <= b < h and 0 <= a < w):
                    continue
                weight = max(0.0, 1 - abs(a - float(at_x)) / float(ws))
                weight *= max(0.0, 1 - abs(b - float(at_y)) / float(hs))
                if np.isnan(x[i, m, b, a]):
                    unknown += weight
                else:
                    value += weight * x[i, m, b, a]
                    weights += weight
        lost = unknown / weights > 0.5 if weights else True
        top[i, m, v, u] = nan if lost else value / weights
    return top


DOWN = 'layer {{ name: "L" type: "Downsample" bottom: "x" top: "y" downsample_param {{ {} }} }}'


@pytest.mark.parametrize(
    ("bottom", "top"), [((9, 11), (4, 5)), ((8, 6), (3, 3)), ((5, 5), (5, 5)), ((3, 4), (6, 7))]
)
def test_downsample(bottom: tuple[int, int], top: tuple[int, int], tmp_path: Path) -> None:
    x = RNG.standard_normal((2, 2, *bottom))
    x[0, 0, :3, :3] = nan
    x[1, 1, 2, 3] = nan
    layer = DOWN.format(f"top_height: {top[0]} top_width: {top[1]}")
    want = downsample(x, *top)
    restated.check(layer, {"x": x}, {"y": want}, tmp_path)
    if bottom == (9, 11):
        assert np.isnan(want).any()


def test_downsample_by_a_second_bottom(tmp_path: Path) -> None:
    x, reference = RNG.standard_normal((2, 2, 9, 7)), np.zeros((2, 5, 4, 3))
    layer = 'layer { name: "L" type: "Downsample" bottom: "x" bottom: "r" top: "y" }'
    restated.check(layer, {"x": x, "r": reference}, {"y": downsample(x, 4, 3)}, tmp_path)


def test_downsample_to_one_row_is_refused(tmp_path: Path) -> None:
    for fields in ("top_height: 1 top_width: 3", ""):
        with pytest.raises(CaffeError, match="wants top_height and top_width above 1"):
            restated.load(DOWN.format(fields), {"x": np.zeros((1, 1, 5, 5))}, tmp_path)


def accumulate(parts: list[np.ndarray], height: int, width: int) -> np.ndarray:
    resized = []
    for x in parts:
        n, c, h, w = x.shape
        top = np.zeros((n, c, height, width))
        for v in range(height):
            for u in range(width):
                at_x, at_y = F(u) / F(width - 1) * F(w - 1), F(v) / F(height - 1) * F(h - 1)
                left, above = floor(at_x), floor(at_y)
                dx, dy = float(at_x) - left, float(at_y) - above
                right, below = min(left + 1, w - 1), min(above + 1, h - 1)
                top[:, :, v, u] = (
                    (1 - dx) * (1 - dy) * x[:, :, above, left]
                    + dx * dy * x[:, :, below, right]
                    + (1 - dx) * dy * x[:, :, below, left]
                    + dx * (1 - dy) * x[:, :, above, right]
                )
        resized.append(top)
    return np.concatenate(resized, 1)


@pytest.mark.parametrize(
    ("fields", "size", "reference"),
    [
        ("", (5, 7), False),
        ("top_height: 9 top_width: 8", (9, 8), False),
        ("top_height: 9 top_width: 3", (5, 7), False),
        ("size_divisible_by: 4", (8, 8), False),
        ("have_reference: true", (5, 4), True),
    ],
)
def test_accum(fields: str, size: tuple[int, int], reference: bool, tmp_path: Path) -> None:
    inputs = {
        "a": RNG.standard_normal((2, 2, 3, 7)),
        "b": RNG.standard_normal((2, 1, 1, 3)),
        "c": RNG.standard_normal((2, 3, 5, 4)),
    }
    layer = (
        'layer { name: "L" type: "Accum" bottom: "a" bottom: "b" bottom: "c" top: "y" '
        f"accum_param {{ {fields} }} }}"
    )
    parts = list(inputs.values())[: 2 if reference else 3]
    restated.check(layer, inputs, {"y": accumulate(parts, *size)}, tmp_path)
    restated.check_gradients(layer, inputs, tmp_path, wrt=("a", "b"))


def test_accum_refused(tmp_path: Path) -> None:
    layer = 'layer { name: "L" type: "Accum" bottom: "a" bottom: "b" top: "y" }'
    inputs = {"a": np.zeros((1, 1, 3, 3)), "b": np.zeros((2, 1, 3, 3))}
    with pytest.raises(CaffeError, match="differ in their number of images"):
        restated.load(layer, inputs, tmp_path)


def test_by_hand() -> None:
    layer = caffe_layers.LAYERS["Resample"]["flownet2"](height=2, width=2)
    assert (layer.filter, layer.antialias) == ("LINEAR", True)
