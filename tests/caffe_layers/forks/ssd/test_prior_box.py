"""PriorBox against its rule as plain loops."""

from __future__ import annotations

from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import caffe_layers
from prototxt import CaffeError, ShapeError
from tests.support.restated import check, load

FEATURE, IMAGE = (2, 3, 4, 5), (2, 3, 45, 61)


def f32(value: float) -> float:
    return float(np.float32(value))


def prior_box(
    feature: tuple[int, ...],
    image: tuple[int, ...],
    min_size: list[float],
    max_size: tuple[float, ...] = (),
    aspect_ratio: tuple[float, ...] = (),
    variance: tuple[float, ...] = (0.1,),
    flip: bool = True,
    clip: bool = False,
    offset: float = 0.5,
    reduce_boxes: bool = False,
    **given: Any,
) -> np.ndarray:
    """Return the top; centres and sides of boxes are rounded to float, as in the fork's code."""
    ratios = [1.0]
    for ratio in aspect_ratio:
        if all(abs(f32(ratio) - other) >= 1e-6 for other in ratios):
            ratios.append(f32(ratio))
            if flip:
                ratios.append(f32(1 / f32(ratio)))
    height, width = feature[2:]
    high, wide = image[2:]
    if "img_size" in given:
        high = wide = given["img_size"]
    if "img_h" in given:
        high, wide = given["img_h"], given["img_w"]
    step_h, step_w = f32(high / height), f32(wide / width)
    if "step" in given:
        step_h = step_w = f32(given["step"])
    if "step_h" in given:
        step_h, step_w = f32(given["step_h"]), f32(given["step_w"])
    boxes, variances = [], []
    for h in range(height):
        for w in range(width):
            cx, cy = f32(f32(w + f32(offset)) * step_w), f32(f32(h + f32(offset)) * step_h)
            sides = []
            for i, size in enumerate(min_size):
                side = int(size)
                first = side / 2.0 if reduce_boxes else side
                sides.append((first, first))
                if max_size:
                    sides.append((f32(sqrt(side * int(max_size[i]))),) * 2)
                roots = [f32(sqrt(r)) for r in ratios if abs(r - 1) >= 1e-6]
                sides += [(f32(side * root), f32(side / root)) for root in roots]
            for bw, bh in sides:
                box = [
                    (cx - bw / 2) / wide,
                    (cy - bh / 2) / high,
                    (cx + bw / 2) / wide,
                    (cy + bh / 2) / high,
                ]
                boxes += [min(max(value, 0.0), 1.0) for value in box] if clip else box
                variances += [f32(v) for v in (variance * 4)[:4]]
    return np.array([[boxes, variances]])


def text(**given: Any) -> str:
    fields = []
    for name, value in given.items():
        for one in value if isinstance(value, list | tuple) else [value]:
            fields.append(f"{name}: {str(one).lower() if isinstance(one, bool) else one}")
    return (
        'layer { name: "L" type: "PriorBox" bottom: "x" bottom: "data" top: "y" '
        f"prior_box_param {{ {' '.join(fields)} }} }}"
    )


def bottoms(
    feature: tuple[int, ...] = FEATURE, image: tuple[int, ...] = IMAGE
) -> dict[str, np.ndarray]:
    return {"x": np.zeros(feature), "data": np.zeros(image)}


SIX = {"min_size": [10.9], "max_size": (24.2,), "aspect_ratio": (2.0, 3.0)}
ROWS: list[dict[str, Any]] = [
    {"min_size": [16]},
    {"min_size": [60.5]},  # cut to 60
    SIX,
    {**SIX, "flip": False},
    {**SIX, "reduce_boxes": False},
    {**SIX, "reduce_boxes": True},
    {"min_size": [15, 20, 31], "max_size": (17, 30, 40), "reduce_boxes": True},
    {**SIX, "clip": True},
    {**SIX, "variance": (0.1, 0.2, 0.3, 0.4)},
    {**SIX, "variance": (0.7,)},
    {**SIX, "offset": 0.3},
    {**SIX, "step": 7.3},
    {**SIX, "step_h": 7.3, "step_w": 4.1},
    {**SIX, "img_size": 77},
    {**SIX, "img_h": 33, "img_w": 99},
    {"min_size": [10, 20, 31], "max_size": (11, 30, 40), "aspect_ratio": (2.0,)},
    {"min_size": [10], "aspect_ratio": (1.0, 2.0, 2.0, 0.5, 1.0000001)},
    {"min_size": [10], "aspect_ratio": (0.5, 3.0, 0.33333333)},
]


def test_box_seen_in_caffe(tmp_path: Path) -> None:
    net = load(
        text(min_size=3, aspect_ratio=3),
        bottoms((1, 1, 1, 1), (1, 3, 10, 10)),
        tmp_path,
    )
    inputs = {n: torch.from_numpy(a) for n, a in bottoms((1, 1, 1, 1), (1, 3, 10, 10)).items()}
    want = [0.24019238948822022, 0.4133974552154541, 0.7598076105117798, 0.5866025447845459]
    assert np.allclose(net.blobs(inputs)["y"][0, 0, 4:8].numpy(), want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.parametrize("dynamic", [("batch",), ("batch", "height", "width")], ids=str)
def test_rule(row: dict[str, Any], dynamic: tuple[str, ...], tmp_path: Path) -> None:
    want = prior_box(FEATURE, IMAGE, **row)
    check(text(**row), bottoms(), {"y": want}, tmp_path, dynamic=dynamic)


def test_other_sizes_when_the_model_runs(tmp_path: Path) -> None:
    net = load(text(**SIX), bottoms(), tmp_path)
    for feature, image in (((1, 1, 1, 1), (1, 3, 7, 9)), ((1, 2, 3, 2), (1, 3, 50, 20))):
        inputs = bottoms(feature, image)
        got = net({name: torch.from_numpy(array) for name, array in inputs.items()})["y"]
        assert np.abs(got.numpy() - prior_box(feature, image, **SIX)).max() < 1e-9


def test_by_hand() -> None:
    layer = caffe_layers.PriorBox(min_size=[16], step=(8, 9))
    got = layer(torch.zeros(FEATURE, dtype=torch.float64), torch.zeros(IMAGE))
    want = prior_box(FEATURE, IMAGE, [16], step_h=8, step_w=9)
    assert np.abs(got.numpy() - want).max() < 1e-9


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "there is no min_size"),
        ({"min_size": [0]}, "wants sizes above 0"),
        ({"min_size": [10], "max_size": (20, 30)}, "2 max_size for 1 min_size"),
        ({"min_size": [10], "max_size": (10,)}, "max_size 10 wants more than min_size 10"),
        ({"min_size": [10], "variance": (0.1, 0.2)}, "wants 1 or 4 numbers above 0"),
        ({"min_size": [10], "variance": (0.0,)}, "wants 1 or 4 numbers above 0"),
        ({"min_size": [10], "step": 0.0}, "want numbers above 0"),
        ({"min_size": [10], "step_h": 1.0}, "want numbers above 0"),
        ({"min_size": [10], "img_h": 1}, "want numbers above 0"),
        ({"min_size": [10], "img_h": 1, "img_w": 1, "img_size": 1}, "both img_size and img_h"),
        ({"min_size": [10], "step_h": 1, "step_w": 1, "step": 1}, "both step and step_h"),
        ({"min_size": [10], "aspect_ratio": (-2.0,)}, "aspect_ratio -2 wants numbers above 0"),
    ],
    ids=str,
)
def test_refusals(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ShapeError, match=message):
        load(text(**row), bottoms(), tmp_path)


def test_typo_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match="min_sizes"):
        load(text(min_sizes=[10]), bottoms(), tmp_path)
