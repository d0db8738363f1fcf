"""tl_ssd's PriorBox and DetectionOutput against their rules as plain loops."""

from __future__ import annotations

from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prototxt import CaffeError
from tests.support.restated import check, load
from tests.support.ssd_boxes import decode, grid, iou

RNG = np.random.default_rng(1701)
FEATURE, IMAGE = (2, 3, 4, 5), (2, 3, 45, 61)


def f32(value: float) -> float:
    return float(np.float32(value))


def words(**given: Any) -> str:
    return " ".join(
        f"{name}: {str(one).lower() if isinstance(one, bool) else one}"
        for name, value in given.items()
        for one in (value if isinstance(value, list | tuple) else [value])
    )


def prior_text(**given: Any) -> str:
    return (
        'layer { name: "L" type: "PriorBox" bottom: "x" bottom: "data" top: "y" '
        f"prior_box_param {{ {words(**given)} }} }}"
    )


def priors(
    min_size: list[float],
    aspect_ratio: list[float],
    offset_w: list[float],
    offset_h: list[float],
    flip: bool = True,
    clip: bool = False,
    step: float | None = None,
    variance: tuple[float, ...] = (0.1,),
    **unread: Any,
) -> np.ndarray:
    ratios: list[float] = []
    for ratio in aspect_ratio:
        if all(abs(f32(ratio) - other) >= 1e-6 for other in ratios):
            ratios += [f32(ratio), f32(1 / f32(ratio))] if flip else [f32(ratio)]
    (height, width), (high, wide) = FEATURE[2:], IMAGE[2:]
    step_h, step_w = (f32(step),) * 2 if step else (f32(high / height), f32(wide / width))
    boxes = []
    for h, w, ox, oy in np.ndindex(height, width, len(offset_w), len(offset_h)):
        cx = f32(f32(w + f32(offset_w[ox])) * step_w)
        cy = f32(f32(h + f32(offset_h[oy])) * step_h)
        for size in map(int, min_size):
            for root in (f32(sqrt(ratio)) for ratio in ratios):
                bw, bh = f32(size * root), f32(size / root)
                box = [(cx - bw / 2) / wide, (cy - bh / 2) / high]
                box += [(cx + bw / 2) / wide, (cy + bh / 2) / high]
                boxes.append([min(max(side, 0), 1) for side in box] if clip else box)
    variances = np.tile([f32(v) for v in (variance * 4)[:4]], (len(boxes), 1))
    return np.stack([np.array(boxes), variances]).reshape(1, 2, -1)


PLACES = {"offset_w": [0.2, 0.7, 1], "offset_h": [0, 0.6]}
ROWS: list[dict[str, Any]] = [
    {"min_size": [10.9, 20], "aspect_ratio": [0.3, 2], "flip": False, **PLACES},
    {"min_size": [7], "aspect_ratio": [3, 2, 3], **PLACES, "variance": (0.1, 0.2, 0.3, 0.4)},
    {"min_size": [7], "max_size": [3], "aspect_ratio": [2], **PLACES, "clip": True, "step": 7.3},
    {"min_size": [5], "aspect_ratio": [0.4], "offset_w": [0.5], "offset_h": [0.5], "flip": False},
]


@pytest.mark.parametrize("row", ROWS, ids=str)
@pytest.mark.parametrize("dynamic", [("batch",), ("batch", "height", "width")], ids=str)
def test_priors(row: dict[str, Any], dynamic: tuple[str, ...], tmp_path: Path) -> None:
    inputs = {"x": np.zeros(FEATURE), "data": np.zeros(IMAGE)}
    check(prior_text(**row), inputs, {"y": priors(**row)}, tmp_path, dynamic=dynamic)


PLAIN = {"min_size": [7], "aspect_ratio": [2], "offset_w": [0.5], "offset_h": [0.5]}


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({**PLAIN, "offset_w": []}, "offset_w .. wants numbers from 0 to 1"),
        ({**PLAIN, "offset_h": [0.5, 1.1]}, "wants numbers from 0 to 1"),
        ({**PLAIN, "aspect_ratio": []}, "no aspect_ratio, and no box without"),
        ({**PLAIN, "aspect_ratio": [2, 1]}, "aspect_ratio of 1, whose box the fork leaves unset"),
        ({**PLAIN, "max_size": [8, 9]}, "2 max_size for 1 min_size"),
    ],
)
def test_priors_refused(row: dict[str, Any], says: str, tmp_path: Path) -> None:
    inputs = {"x": np.zeros(FEATURE), "data": np.zeros(IMAGE)}
    with pytest.raises(CaffeError, match=says):
        load(prior_text(**row), inputs, tmp_path)


def detections_text(**given: Any) -> str:
    inner = {name: given.pop(name) for name in ("nms_threshold", "top_k", "eta") if name in given}
    fields = {"num_classes": 3, "code_type": "CENTER_SIZE", "do_state_prediction": True,
              "num_states": 2} | given  # fmt: skip
    return (
        'layer { name: "L" type: "DetectionOutput" bottom: "loc" bottom: "conf" bottom: "prior" '
        'bottom: "state" top: "y" detection_output_param '
        f"{{ {words(**fields)} nms_param {{ {words(**inner)} }} }} }}"
    )


def detected(
    inputs: dict[str, np.ndarray],
    classes: int = 3,
    states: int = 2,
    least: float = -1,
    nms: float = 0.3,
    top_k: int = -1,
    eta: float = 1,
    keep: int = -1,
) -> np.ndarray:
    blob = inputs["prior"][0].reshape(2, -1, 4)
    rows: list[list[float]] = []
    images = len(inputs["loc"])
    for n in range(images):
        codes = inputs["loc"][n].reshape(-1, 4)
        boxes = [
            decode("CENTER_SIZE", blob[0, p], blob[1, p], code) for p, code in enumerate(codes)
        ]
        conf = inputs["conf"][n].reshape(-1, classes)
        every = [
            (score, c, p)
            for c in range(1, classes)
            for p, score in enumerate(conf[:, c])
            if score > np.float32(least)
        ]
        every.sort(key=lambda one: -one[0])
        kept: list[tuple[float, int, int]] = []
        limit = f32(nms)
        for score, c, p in every if top_k < 0 else every[:top_k]:
            if all(iou(boxes[p], boxes[other]) <= limit for *_, other in kept):
                kept.append((score, c, p))
                limit *= f32(eta) if eta < 1 and limit > 0.5 else 1
        kept = kept if keep < 0 else kept[:keep]
        for score, c, p in sorted(kept, key=lambda one: one[1]):
            said = inputs["state"][n].reshape(-1, states)[p]
            rows.append([n, c, score, *said, *boxes[p]])
    if rows:
        return np.array(rows)[None, None]
    nothing = np.full(images * (7 + states), -1.0)
    for n in range(images):
        nothing[7 * n] = n
    return nothing.reshape(1, 1, images, -1)


def predictions(images: int = 2, count: int = 30) -> dict[str, np.ndarray]:
    scores = RNG.uniform(size=(images, count * 3))
    return {
        "loc": RNG.normal(size=(images, count * 4)),
        "conf": scores.astype(np.float32).astype(float),
        "prior": grid(RNG, count),
        "state": RNG.uniform(size=(images, count * 2)),
    }


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({}, {}),
        ({"confidence_threshold": 0.6}, {"least": 0.6}),
        ({"top_k": 12}, {"top_k": 12}),
        ({"keep_top_k": 3}, {"keep": 3}),
        ({"nms_threshold": 0.8, "eta": 0.7}, {"nms": 0.8, "eta": 0.7}),
        (
            {"keep_top_k": 5, "top_k": 40, "nms_threshold": 0.6},
            {"keep": 5, "top_k": 40, "nms": 0.6},
        ),
        ({"confidence_threshold": 1}, {"least": 1}),
    ],
)
def test_detections(given: dict[str, Any], rule: dict[str, Any], tmp_path: Path) -> None:
    inputs = predictions()
    want = detected(inputs, **rule)
    assert (len(np.unique(want[..., 1])) > 1) == ("confidence_threshold" not in given or
                                                  given["confidence_threshold"] < 1)  # fmt: skip
    check(detections_text(**given), inputs, {"y": want}, tmp_path, dynamic=())


def test_a_box_hides_those_of_other_classes(tmp_path: Path) -> None:
    inputs = predictions(1, 2)
    inputs["prior"][0, 0, 4:] = inputs["prior"][0, 0, :4]
    inputs["prior"][0, 1, 4:] = inputs["prior"][0, 1, :4]
    inputs["loc"][:] = 0
    inputs["conf"][0] = [0, 0.9, 0, 0, 0, 0.8]
    want = detected(inputs)
    assert want.shape[2] == 1
    check(detections_text(), inputs, {"y": want}, tmp_path, dynamic=())


def test_as_many_images_as_there_are(tmp_path: Path) -> None:
    inputs = predictions(1)
    del inputs["prior"]
    prior = grid(RNG, 30)
    text = detections_text()
    net = load(text, inputs | {"prior": prior}, tmp_path)
    assert net.shapes()["y"] == (1, 1, 60, 9)
    assert net.layers["L"].fork == "tl_ssd"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"num_states": 3}, "wants 2 x 90"),
        ({"num_states": 0}, "num_states 0"),
        ({"share_location": False}, "share_location false"),
        ({"num_classes": 4}, "prior box"),
    ],
)
def test_detections_refused(given: dict[str, Any], says: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=says):
        load(detections_text(**given), predictions(), tmp_path)
