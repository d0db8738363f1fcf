"""PriorBox with fixed sizes and densities against FaceBoxes' loops."""

from __future__ import annotations

from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prototxt import CaffeError
from tests.caffe_layers.forks.ssd.test_prior_box import FEATURE, IMAGE, bottoms, f32, text
from tests.support.restated import check, load

DENSE: dict[str, Any] = {"fixed_size": [9.7, 14, 5], "density": [4, 2, 1], "step": 11.3}
ROWS: list[dict[str, Any]] = [
    {"fixed_size": [32, 64], "density": [4, 1]},
    DENSE,
    {**DENSE, "offset": 0.3},
    {**DENSE, "offset": -1.3},  # boxes wholly outside
    {**DENSE, "clip": True},
    {**DENSE, "aspect_ratio": [1, 2, 3.5], "variance": [0.1, 0.1, 0.2, 0.2]},
    {**DENSE, "aspect_ratio": [2], "flip": False},
    {**DENSE, "fixed_ratio": [1.7]},
    {"fixed_size": [7], "density": [3], "step_h": 8, "step_w": 13, "img_size": 50},
]


def density_prior_box(
    fixed_size: list[float],
    density: list[int],
    fixed_ratio: list[float] | None = None,
    aspect_ratio: list[float] | None = None,
    **given: Any,
) -> np.ndarray:
    """Return the top; what the fork holds in float is rounded to it."""
    height, width = FEATURE[2:]
    high, wide = (given["img_size"],) * 2 if "img_size" in given else IMAGE[2:]
    step = given.get("step")
    down, right = (
        f32(step or given.get("step_h", high / height)),
        f32(step or given.get("step_w", wide / width)),
    )
    ratios: list[float] = []
    for ratio in map(f32, aspect_ratio or []):
        if all(abs(ratio - other) >= 1e-6 for other in [1.0, *ratios]):
            ratios += [ratio, f32(1 / ratio)] if given.get("flip", True) else [ratio]
    boxes: list[float] = []
    variances: list[float] = []
    offset = f32(given.get("offset", 0.5))
    for h in range(height):
        for w in range(width):
            cx, cy = f32(f32(w + offset) * right), f32(f32(h + offset) * down)
            for size, count in zip(map(f32, fixed_size), density, strict=True):
                sides = [] if fixed_ratio else [(float(int(size)),) * 2]
                for ratio in map(f32, fixed_ratio or ratios):
                    sides.append((f32(size * sqrt(ratio)), f32(size / sqrt(ratio))))
                shift = int(size / count)
                for bw, bh in sides:
                    for r in range(count):
                        for c in range(count):
                            x = f32(f32(cx - int(size) // 2) + shift / 2 + c * shift)
                            y = f32(f32(cy - int(size) // 2) + shift / 2 + r * shift)
                            box = [max((x - bw / 2) / wide, 0), max((y - bh / 2) / high, 0)]
                            box += [min((x + bw / 2) / wide, 1), min((y + bh / 2) / high, 1)]
                            boxes += np.clip(box, 0, 1).tolist() if given.get("clip") else box
                            variances += map(f32, given.get("variance", [0.1] * 4))
    return np.array([[boxes, variances]])


@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.parametrize("dynamic", [("batch",), ("batch", "height", "width")], ids=str)
def test_rule(row: dict[str, Any], dynamic: tuple[str, ...], tmp_path: Path) -> None:
    check(text(**row), bottoms(), {"y": density_prior_box(**row)}, tmp_path, dynamic=dynamic)


def test_boxes_end_at_the_image_on_their_own_side_alone() -> None:
    """The rows reach over every edge, and what lies wholly outside is not pulled back."""
    boxes = density_prior_box(**{**DENSE, "step": 17})[0, 0].reshape(-1, 4)
    assert boxes.min() == 0
    assert boxes.max() > 1
    assert (boxes == 1).any()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"fixed_size": [9, 7], "density": [2]}, "1 density for 2 fixed_size"),
        ({"fixed_size": [9]}, "0 density for 1 fixed_size"),
        ({"fixed_size": [9], "density": [1.5]}, "density 1.5 wants whole numbers above 0"),
        ({"fixed_size": [9], "density": [0]}, "density 0 wants whole numbers above 0"),
        ({"fixed_size": [0.5], "density": [1]}, "wants sizes of 1 or more"),
        ({"fixed_size": [9], "density": [1], "min_size": [3]}, "stands beside fixed_size"),
        ({"fixed_size": [9], "density": [1], "max_size": [3]}, "stands beside fixed_size"),
        ({"fixed_size": [9], "density": [1], "fixed_ratio": [1, 2]}, "2 fixed_ratio, wants one"),
        ({"fixed_size": [9], "density": [1], "fixed_ratio": [-1]}, "fixed_ratio -1 wants"),
        (
            {"fixed_size": [9], "density": [1], "fixed_ratio": [2], "aspect_ratio": [2]},
            "aspect_ratio stands beside fixed_ratio",
        ),
    ],
)
def test_refused(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=message):
        load(text(**row), bottoms(), tmp_path)
