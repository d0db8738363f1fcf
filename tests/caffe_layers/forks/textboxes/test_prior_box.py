"""PriorBox with denser boxes: SSD's, each followed by itself at the lower edge of its place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.caffe_layers.forks.ssd.test_prior_box import (
    FEATURE,
    IMAGE,
    SIX,
    bottoms,
    prior_box,
    text,
)
from tests.support.restated import check

ROWS: list[dict[str, Any]] = [
    {"min_size": [16]},
    {**SIX, "offset": 0.3},
    {**SIX, "clip": True, "step": 7.3},
    {**SIX, "flip": False, "img_size": 77, "variance": (0.1, 0.2, 0.3, 0.4)},
    {"min_size": [10, 20], "max_size": (11, 30), "step_h": 7.3, "step_w": 4.1},
]


def denser(row: dict[str, Any]) -> np.ndarray:
    """Return SSD's boxes, each with the one that an offset of 1 down would make behind it."""
    plain = prior_box(FEATURE, IMAGE, **row).reshape(2, -1, 4)
    lower = prior_box(FEATURE, IMAGE, **{**row, "offset": 1.0}).reshape(2, -1, 4)
    second = np.stack([plain[..., 0], lower[..., 1], plain[..., 2], lower[..., 3]], -1)
    second[1] = plain[1]
    return np.stack([plain, second], 2).reshape(1, 2, -1)


@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.parametrize("dynamic", [("batch",), ("batch", "height", "width")], ids=str)
def test_rule(row: dict[str, Any], dynamic: tuple[str, ...], tmp_path: Path) -> None:
    written = text(**row, denser_prior_boxes=True)
    check(written, bottoms(), {"y": denser(row)}, tmp_path, dynamic=dynamic)


def test_not_denser(tmp_path: Path) -> None:
    row: dict[str, Any] = {**SIX}
    want = prior_box(FEATURE, IMAGE, **row)
    check(text(**SIX, denser_prior_boxes=False), bottoms(), {"y": want}, tmp_path)
