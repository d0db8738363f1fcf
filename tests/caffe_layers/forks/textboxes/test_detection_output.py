"""DetectionOutput with quadrilaterals and turned boxes against TextBoxes++' formulas as loops."""

from __future__ import annotations

from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prototxt import CaffeError
from tests.caffe_layers.forks.ssd.test_detection_output import (
    PRIORS,
    RNG,
    detection_output,
    exact,
    text,
)
from tests.support.restated import check, load
from tests.support.ssd_boxes import decode, grid


def corners(prior: list[float], variance: list[float], t: list[float]) -> list[float]:
    x0, y0, x1, y1 = prior
    width, height = x1 - x0, y1 - y0
    points = []
    for at, (x, y) in enumerate(((x0, y0), (x1, y0), (x1, y1), (x0, y1))):
        points.append(variance[0] * t[2 * at] * width + x)
        points.append(variance[1] * t[2 * at + 1] * height + y)
    return points


def turned(prior: list[float], variance: list[float], t: list[float]) -> list[float]:
    x0, y0, x1, y1 = prior
    width, height = x1 - x0, y1 - y0
    cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
    first = [variance[0] * t[0] * width + cx, variance[1] * t[1] * height + cy]
    second = [variance[0] * t[2] * width + cx, variance[1] * t[3] * height + cy]
    return [*first, *second, exp(variance[3] * t[4]) * height]


def text_output(
    loc: np.ndarray, conf: np.ndarray, prior: np.ndarray, *, polygon: bool, **row: Any
) -> np.ndarray:
    """Return SSD's rows for the boxes, and behind each what the same prior box says of the text."""
    numbers = 12 if polygon else 9
    shared = row.get("share_location", True)
    loc_classes = 1 if shared else 4
    every = loc.reshape(len(loc), PRIORS, loc_classes, numbers)
    plain = detection_output(every[..., :4].reshape(len(loc), -1), conf, prior, **row)
    boxes, variances = (prior[0, part].reshape(-1, 4).tolist() for part in (0, 1))
    rows = []
    for found in plain[0, 0]:
        if found[1] < 0:
            rows.append([*found, *[-1] * (numbers - 4)])
            continue
        own = every[int(found[0]), :, 0 if shared else int(found[1])].tolist()
        made = [
            decode("CENTER_SIZE", p, v, t[:4])
            for p, v, t in zip(boxes, variances, own, strict=True)
        ]
        at = int(np.abs(np.array(made) - found[3:]).max(1).argmin())
        more = (corners if polygon else turned)(boxes[at], variances[at], own[at][4:])
        rows.append([*found, *more])
    return np.array(rows)[None, None]


ROWS: list[dict[str, Any]] = [
    {},
    {"share_location": False},
    {"keep_top_k": 5, "nms_threshold": 0.45},
    {"confidence_threshold": 2.0},  # nothing is found
    {"nms_threshold": 0.9, "eta": 0.8, "top_k": 20},
]


def bottoms(numbers: int, loc_classes: int = 1) -> dict[str, np.ndarray]:
    return {
        "loc": exact(RNG.normal(0, 1, (2, PRIORS * loc_classes * numbers))),
        "conf": exact(RNG.uniform(0, 1, (2, PRIORS * 4))),
        "prior": grid(RNG, PRIORS),
    }


@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.parametrize("polygon", [True, False])
def test_rule(row: dict[str, Any], polygon: bool, tmp_path: Path) -> None:
    inputs = bottoms(12 if polygon else 9, 1 if row.get("share_location", True) else 4)
    want = text_output(**inputs, polygon=polygon, **row)
    written = text(use_polygon=polygon, **row)
    check(written, inputs, {"y": want}, tmp_path, dynamic=())


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"code_type": "CORNER"}, "code_type CORNER or variance_encoded_in_target"),
        ({"variance_encoded_in_target": True}, "wants CENTER_SIZE"),
        ({"share_location": False}, "loc is .* wants N x 1440 for 30 prior boxes"),
    ],
)
def test_refused(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=message):
        load(text(use_polygon=True, **row), bottoms(12), tmp_path)
