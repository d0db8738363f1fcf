"""CTPN's boxes of every anchor, against loops."""

from __future__ import annotations

from math import exp
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import converter
from prototxt import CaffeError
from tests.support.restated import check, compare, load

RNG = np.random.default_rng(1701)
# As Python 2 makes them: x from 0 to 15, y by whole halves of 11, 16, 23, ..., 283.
ANCHORS = [
    *((2, 12), (0, 15), (-3, 18), (-8, 23), (-16, 31)),
    *((-26, 41), (-40, 55), (-61, 76), (-91, 106), (-133, 148)),
]


def layer(param: str = "'feat_stride': 16") -> str:
    return (
        'layer { name: "L" type: "Python" bottom: "scores" bottom: "shifts" bottom: "info" '
        'top: "boxes" top: "text" python_param { module: "layers.text_proposal_layer" '
        f'layer: "ProposalLayer" param_str: "{param}" }} }}'
    )


def restated(
    scores: np.ndarray, shifts: np.ndarray, height: float, width: float, stride: int
) -> tuple[np.ndarray, np.ndarray]:
    boxes, found = [], []
    for y, x in np.ndindex(scores.shape[2:]):
        for anchor, (first, last) in enumerate(ANCHORS):
            dy, dh = shifts[0, 2 * anchor, y, x], shifts[0, 2 * anchor + 1, y, x]
            tall = last - first + 1
            high = exp(dh) * tall
            top = dy * tall + (first + last) / 2 + y * stride - high / 2
            corners = [x * stride, top, x * stride + 15, top + high]
            limits = [width - 1, height - 1] * 2
            boxes.append([max(min(at, most), 0) for at, most in zip(corners, limits, strict=True)])
            found.append([scores[0, 10 + anchor, y, x]])
    return np.array(boxes), np.array(found)


@pytest.mark.parametrize(("stride", "info"), [(16, (60, 40, 1)), (8, (500, 30))])
def test_boxes(stride: int, info: tuple[float, ...], tmp_path: Path) -> None:
    scores, shifts = RNG.uniform(size=(1, 20, 4, 3)), RNG.normal(0, 0.5, (1, 20, 4, 3))
    boxes, text = restated(scores, shifts, info[0], info[1], stride)
    for column in range(4):
        assert len(set(boxes[:, column])) > 2, "the clipping hides everything"
    inputs = {"scores": scores, "shifts": shifts, "info": np.array([info], float)}
    param = f"'feat_stride': {stride}"
    check(layer(param), inputs, {"boxes": boxes, "text": text}, tmp_path, dynamic=())


def test_maps_of_any_size(tmp_path: Path) -> None:
    info = np.array([[70.0, 90, 1]])
    maps = {name: RNG.uniform(size=(1, 20, 2, 3)) for name in ("scores", "shifts")}
    net = load(layer(), {**maps, "info": info}, tmp_path, dtype=torch.float32)
    converter.export_onnx(net, tmp_path / "net.onnx", dynamic=("height", "width"))
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx")
    larger = {name: RNG.uniform(size=(1, 20, 5, 4)) for name in maps}
    boxes, text = restated(**larger, height=70, width=90, stride=16)
    compare(session, {**larger, "info": info}, {"boxes": boxes, "text": text})


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        (((2, 20, 2, 3), (2, 20, 2, 3), (1, 3)), r"scores are \(2, 20, 2, 3\), wants 1 x 20"),
        (((1, 20, 2, 3), (1, 40, 2, 3), (1, 3)), r"shifts are \(1, 40, 2, 3\), wants 1 x 20"),
        (((1, 20, 2, 3), (1, 20, 3, 3), (1, 3)), "differ in places"),
        (((1, 20, 2, 3), (1, 20, 2, 3), (1, 1)), r"numbers are \(1, 1\), wants 1 x 2 or more"),
    ],
)
def test_bottoms_that_do_not_fit(
    shapes: tuple[tuple[int, ...], ...], message: str, tmp_path: Path
) -> None:
    inputs = dict(zip(("scores", "shifts", "info"), map(np.zeros, shapes), strict=True))
    with pytest.raises(CaffeError, match=message):
        load(layer(), inputs, tmp_path)


@pytest.mark.parametrize(
    ("param", "message"), [("{}", "has no feat_stride"), ("'feat_stride': 0", "wants 1 or more")]
)
def test_parameters(param: str, message: str, tmp_path: Path) -> None:
    maps = np.zeros((1, 20, 2, 3))
    with pytest.raises(CaffeError, match=message):
        load(layer(param), {"scores": maps, "shifts": maps, "info": np.ones((1, 3))}, tmp_path)
