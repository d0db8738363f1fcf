"""Correlation and Correlation1D against FlowNet2's kernels as loops."""

from __future__ import annotations

from math import ceil
from pathlib import Path

import numpy as np
import pytest

from prototxt import CaffeError
from tests.support import restated

RNG = np.random.default_rng(1701)

CORRELATION = [
    # kernel, max_displacement, pad, stride_1, stride_2
    (1, 1, 1, 1, 1),
    (1, 4, 4, 1, 2),
    (1, 5, 5, 2, 2),  # 2 does not divide 5: the reach is 4
    (3, 2, 2, 1, 1),
    (3, 2, 3, 2, 1),
    (5, 1, 1, 1, 1),
    (1, 0, 0, 1, 1),
]


def text(kind: str, **fields: object) -> str:
    values = " ".join(f"{name}: {value}" for name, value in fields.items())
    return (
        f'layer {{ name: "L" type: "{kind}" bottom: "a" bottom: "b" top: "y" '
        f"correlation_param {{ {values} }} }}"
    )


def correlation(
    a: np.ndarray, b: np.ndarray, k: int, d: int, pad: int, s1: int, s2: int, subtract: bool
) -> np.ndarray:
    n, c, h, w = a.shape
    wide = ((0, 0), (0, 0), (pad, pad), (pad, pad))
    a, b = np.pad(a, wide), np.pad(b, wide)
    border = d + (k - 1) // 2
    rows = ceil((h + 2 * pad - 2 * border) / s1)
    columns = ceil((w + 2 * pad - 2 * border) / s1)
    g = d // s2
    top = np.zeros((n, (2 * g + 1) ** 2, rows, columns))
    for i, q, y, x in np.ndindex(*top.shape):
        dy, dx = (q // (2 * g + 1) - g) * s2, (q % (2 * g + 1) - g) * s2
        y1, x1 = y * s1 + d, x * s1 + d
        total = 0.0
        for v in range(k):
            for u in range(k):
                for m in range(c):
                    p, r = a[i, m, y1 + v, x1 + u], b[i, m, y1 + dy + v, x1 + dx + u]
                    total += abs(p - r) if subtract else p * r
        top[i, q, y, x] = total / (k * k * c)
    return top


def correlation_1d(
    a: np.ndarray, b: np.ndarray, k: int, d: int, pad: int, s1: int, s2: int, direction: int
) -> np.ndarray:
    n, c, h, w = a.shape
    wide = ((0, 0), (0, 0), (0, 0), (pad, pad))
    a, b = np.pad(a, wide), np.pad(b, wide)
    radius = (k - 1) // 2
    rows = ceil((h - 2 * radius) / s1)
    columns = ceil((w + 2 * pad - 2 * (d + radius)) / s1)
    g = d // s2
    count = 2 * g + 1 if direction == 0 else g + 1
    first = {-1: -(g + 1), 0: -g, 1: 0}[direction]
    top = np.zeros((n, count, rows, columns))
    flat = b.transpose(0, 2, 3, 1).reshape(-1, c)  # Caffe's rows lie behind one another
    for i, q, y, x in np.ndindex(*top.shape):
        dx = (q + first) * s2
        total = 0.0
        for v in range(k):
            for u in range(k):
                y1, x1 = y * s1 + v, x * s1 + d + u
                at = (i * h + y1) * (w + 2 * pad) + x1 + dx
                for m in range(c):
                    total += a[i, m, y1, x1] * (flat[at, m] if at >= 0 else 0)
        top[i, q, y, x] = total / (k * k * c)
    return top


def images(*shape: int) -> dict[str, np.ndarray]:
    return {name: RNG.standard_normal(shape) for name in ("a", "b")}


@pytest.mark.parametrize("kind", ["MULTIPLY", "SUBTRACT"])
@pytest.mark.parametrize("settings", CORRELATION)
def test_correlation(settings: tuple[int, ...], kind: str, tmp_path: Path) -> None:
    names = ("kernel_size", "max_displacement", "pad", "stride_1", "stride_2")
    fields = dict(zip(names, settings, strict=True))
    inputs = images(2, 3, 5, 7)
    want = correlation(*inputs.values(), *settings, kind == "SUBTRACT")
    layer = text("Correlation", **fields, correlation_type=kind, do_abs="true")
    restated.check(layer, inputs, {"y": want}, tmp_path)


@pytest.mark.parametrize("direction", [-1, 0, 1])
@pytest.mark.parametrize("settings", [(1, 3, 4, 1, 1), (3, 2, 2, 1, 1), (3, 4, 6, 2, 2)])
def test_correlation_1d(settings: tuple[int, ...], direction: int, tmp_path: Path) -> None:
    names = ("kernel_size", "max_displacement", "pad", "stride_1", "stride_2")
    fields = dict(zip(names, settings, strict=True))
    inputs = images(2, 2, 5, 7)
    want = correlation_1d(*inputs.values(), *settings, direction)
    layer = text("Correlation1D", **fields, single_direction=direction)
    restated.check(layer, inputs, {"y": want}, tmp_path)


def test_height_and_width_may_be_free(tmp_path: Path) -> None:
    layer = text("Correlation", kernel_size=3, max_displacement=2, pad=2, stride_1=2)
    inputs = images(1, 2, 5, 7)
    want = correlation(*inputs.values(), 3, 2, 2, 2, 1, False)
    restated.check(layer, inputs, {"y": want}, tmp_path, dynamic=("batch", "height", "width"))


def test_gradients(tmp_path: Path) -> None:
    for kind in ("MULTIPLY", "SUBTRACT"):
        layer = text("Correlation", kernel_size=3, max_displacement=1, pad=1, correlation_type=kind)
        restated.check_gradients(layer, images(1, 2, 3, 4), tmp_path, wrt=("a", "b"))
    layer = text("Correlation1D", kernel_size=1, max_displacement=1, pad=1)
    restated.check_gradients(layer, images(1, 2, 2, 3), tmp_path, wrt=("a", "b"))


@pytest.mark.parametrize(
    ("kind", "fields", "message"),
    [
        (
            "Correlation",
            {"kernel_size": 2, "max_displacement": 1},
            "kernel_size is 2, wants an odd",
        ),
        ("Correlation", {"max_displacement": 1}, "kernel_size is missing, it is required"),
        ("Correlation", {"kernel_size": 1}, "max_displacement is missing, it is required"),
        ("Correlation", {"kernel_size": 1, "max_displacement": 3}, "do not fit into"),
        ("Correlation", {"kernel_size": 1, "max_displacement": 2**31 - 1}, "do not fit into"),
        ("Correlation1D", {"kernel_size": 1, "max_displacement": 2**31 - 1}, "do not fit into"),
        (
            "Correlation1D",
            {"kernel_size": 1, "max_displacement": 1, "single_direction": 2},
            "single_direction is 2, wants -1, 0 or 1",
        ),
        (
            "Correlation1D",
            {"kernel_size": 1, "max_displacement": 2, "single_direction": -1},
            "reads 1 columns before the row, which are the end of the row above: pad is 0",
        ),
    ],
)
def test_refused(kind: str, fields: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=message):
        restated.load(text(kind, **fields), images(1, 1, 5, 5), tmp_path)


def test_bottoms_of_two_sizes_are_refused(tmp_path: Path) -> None:
    inputs = {"a": np.zeros((1, 2, 5, 5)), "b": np.zeros((1, 2, 5, 6))}
    with pytest.raises(CaffeError, match="differ"):
        restated.load(text("Correlation", kernel_size=1, max_displacement=0), inputs, tmp_path)
