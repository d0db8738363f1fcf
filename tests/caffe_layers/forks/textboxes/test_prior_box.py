"""PriorBox with denser boxes: SSD's, each followed by itself at the lower edge of its place."""

from __future__ import annotations

from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from prototxt import CaffeError
from tests.caffe_layers.forks.ssd.test_prior_box import (
    FEATURE,
    IMAGE,
    SIX,
    bottoms,
    prior_box,
    text,
)
from tests.support.recorded import assert_close
from tests.support.restated import check, load

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


@pytest.mark.parametrize("most", [(), (24.2,)])
def test_textboxes_by_name(most: tuple[float, ...], tmp_path: Path) -> None:
    """TextBoxes' own: sizes are not cut, and no field says that there are twice as many."""
    wanted: list[float] = []
    for h, w in np.ndindex(*FEATURE[2:]):
        x, step = (w + 0.5) * IMAGE[3] / FEATURE[3], IMAGE[2] / FEATURE[2]
        sides = [(10.9, 10.9), *((sqrt(10.9 * one), sqrt(10.9 * one)) for one in most)]
        sides += [(10.9 * sqrt(r), 10.9 / sqrt(r)) for r in (2, 5)]
        for wide, high in sides:
            for y in ((h + 0.5) * step, (h + 1) * step):
                ends = (x - wide / 2) / IMAGE[3], (x + wide / 2) / IMAGE[3]
                edges = (y - high / 2) / IMAGE[2], (y + high / 2) / IMAGE[2]
                wanted += [ends[0], edges[0], ends[1], edges[1]]
    row = {"min_size": [10.9], "aspect_ratio": [2, 5], "flip": False, "variance": (0.2,)}
    written = text(**row, **({"max_size": most} if most else {}))
    net = load(written, bottoms(), tmp_path, dialect="textboxes")
    given = {name: torch.from_numpy(array) for name, array in bottoms().items()}
    found = net.blobs(given)["y"]
    assert_close(found[0, 0], np.clip(wanted, -9, 9), "boxes", 1e-6)  # Caffe's are of floats
    assert_close(found[0, 1], np.full(len(wanted), 0.2), "variances", 1e-6)
    plain = load(written, bottoms(), tmp_path)
    assert plain.shapes()["y"][2] * 2 == len(wanted)


def test_twice_as_many_locations_name_the_dialect(tmp_path: Path) -> None:
    inputs = {"loc": np.zeros((1, 16)), "conf": np.zeros((1, 8)), "p": np.zeros((1, 2, 8))}
    layer = """layer { name: "L" type: "DetectionOutput" bottom: "loc" bottom: "conf" bottom: "p"
      top: "y" detection_output_param { num_classes: 2 code_type: CENTER_SIZE
      nms_param { nms_threshold: 0.5 } } }"""
    says = "wants N x 8 for 2 prior boxes\n  fix: TextBoxes' PriorBox .* --dialect textboxes"
    with pytest.raises(CaffeError, match=says):
        load(layer, inputs, tmp_path)
