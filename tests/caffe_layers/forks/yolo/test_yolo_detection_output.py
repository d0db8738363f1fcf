"""YoloDetectionOutput and Yolov3DetectionOutput against plain loops."""

from __future__ import annotations

from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prototxt import CaffeError, ShapeError, UnsupportedError
from tests.support.restated import check, load

RNG = np.random.default_rng(1701)
Found = tuple[float, int, list[float]]


def sigmoid(t: float) -> float:
    return 1 / (1 + exp(-t))


def iou(a: list[float], b: list[float]) -> float:
    sides = []
    for i in (0, 1):
        low = max(a[i] - a[i + 2] / 2, b[i] - b[i + 2] / 2)
        sides.append(min(a[i] + a[i + 2] / 2, b[i] + b[i + 2] / 2) - low)
    both = 0 if min(sides) < 0 else sides[0] * sides[1]
    return both / (a[2] * a[3] + b[2] * b[3] - both)


def rows_of(found: list[Found], images: int, threshold: float) -> np.ndarray:
    found = sorted(found, key=lambda one: -one[0])
    kept: list[Found] = []
    for one in found:
        if all(iou(one[2], other[2]) < threshold for other in kept):
            kept.append(one)
    if not kept:
        return np.array([[n, -1, -1, -1, -1, -1, -1] for n in range(images)], float)[None, None]
    return np.array(
        [
            [0, label, score, x - w / 2, y - h / 2, x + w / 2, y + h / 2]
            for score, label, (x, y, w, h) in kept
        ]
    )[None, None]


def yolo2(
    maps: list[np.ndarray], classes: int, boxes: int, least: float, nms: float, biases: list[float]
) -> np.ndarray:
    found: list[Found] = []
    for x in maps:
        side = x.shape[2]
        for b, j, i, n in np.ndindex(len(x), side, side, boxes):
            t = x[b, n * (5 + classes) : (n + 1) * (5 + classes), j, i]
            shares = [exp(v - max(t[5:])) for v in t[5:]]
            best = max(range(classes), key=lambda c: (t[5 + c], -c))
            score = sigmoid(t[4]) * shares[best] / sum(shares)
            box = [
                (i + sigmoid(t[0])) / side,
                (j + sigmoid(t[1])) / side,
                exp(t[2]) * biases[2 * n] / side,
                exp(t[3]) * biases[2 * n + 1] / side,
            ]
            if score >= least:
                found.append((score, best + 1, box))
    return rows_of(found, len(maps[0]), nms)


def yolo3(
    maps: list[np.ndarray],
    classes: int,
    boxes: int,
    least: float,
    nms: float,
    biases: list[float],
    scales: list[int],
    mask: list[int],
) -> np.ndarray:
    found: list[Found] = []
    for at, x in enumerate(maps):
        side = x.shape[2]
        for b, j, i, n in np.ndindex(len(x), side, side, boxes):
            t = x[b, n * (5 + classes) : (n + 1) * (5 + classes), j, i]
            index = mask[at * boxes + n]
            box = [
                (i + sigmoid(t[0])) / side,
                (j + sigmoid(t[1])) / side,
                exp(t[2]) * biases[2 * index] / (side * scales[at]),
                exp(t[3]) * biases[2 * index + 1] / (side * scales[at]),
            ]
            for c in range(classes):
                score = sigmoid(t[5 + c]) * sigmoid(t[4])
                if score > least:
                    found.append((score, c + 1, box))
    return rows_of(found, len(maps[0]), nms)


BIASES = [1.5, 1.25, 3.5, 4.5, 0.5, 0.75]


def text(kind: str, bottoms: int, param: str) -> str:
    names = " ".join(f'bottom: "x{i}"' for i in range(bottoms))
    message = "yolo_detection_output_param" if kind[4] == "D" else "yolov3_detection_output_param"
    return f'layer {{ name: "L" type: "{kind}" {names} top: "y" {message} {{ {param} }} }}'


def v2(bottoms: int = 1, **other: Any) -> str:
    values = {"num_classes": 4, "num_box": 2, "confidence_threshold": 0.25, "nms_threshold": 0.5}
    param = " ".join(f"{k}: {v}" for k, v in (values | other).items())
    return text(
        "YoloDetectionOutput", bottoms, param + "".join(f" biases: {b}" for b in BIASES[:4])
    )


def v3(bottoms: int = 2, masks: tuple[int, ...] = (2, 1, 0, 2), **other: Any) -> str:
    values = {
        "num_classes": 3,
        "num_box": 2,
        "confidence_threshold": 0.25,
        "nms_threshold": 0.5,
        "mask_group_num": 2,
    }
    param = " ".join(f"{k}: {v}" for k, v in (values | other).items())
    param += "".join(f" biases: {8 * b}" for b in BIASES) + "".join(f" mask: {m}" for m in masks)
    return text("Yolov3DetectionOutput", bottoms, param + " anchors_scale: 16 anchors_scale: 8")


def maps(*shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    return {f"x{i}": RNG.normal(size=shape) * 1.5 for i, shape in enumerate(shapes)}


@pytest.mark.parametrize("images", [1, 3])
@pytest.mark.parametrize("bottoms", [1, 2])
@pytest.mark.parametrize("least", [0.01, 0.25, 0.6])
def test_yolo2(images: int, bottoms: int, least: float, tmp_path: Path) -> None:
    given = maps(*((images, 18, 5, 5), (images, 18, 3, 3))[:bottoms])
    want = yolo2([*given.values()], 4, 2, np.float32(least), 0.5, BIASES)
    assert want[0, 0, 0, 1] > 0
    check(v2(bottoms, confidence_threshold=least), given, {"y": want}, tmp_path)


@pytest.mark.parametrize("images", [1, 2])
@pytest.mark.parametrize("least", [0.01, 0.25, 0.7])
def test_yolo3(images: int, least: float, tmp_path: Path) -> None:
    given = maps((images, 16, 4, 4), (images, 16, 8, 8))
    biases = [8 * bias for bias in BIASES]
    want = yolo3([*given.values()], 3, 2, np.float32(least), 0.5, biases, [16, 8], [2, 1, 0, 2])
    assert want[0, 0, 0, 1] > 0
    check(v3(confidence_threshold=least), given, {"y": want}, tmp_path)


@pytest.mark.parametrize("layer", [v2(2, confidence_threshold=1), v3(confidence_threshold=1)])
def test_nothing_is_found(layer: str, tmp_path: Path) -> None:
    channels = 18 if "Yolov3" not in layer else 16
    given = maps((3, channels, 2, 2), (3, channels, 4, 4))
    want = np.full((1, 1, 3, 7), -1.0)
    want[0, 0, :, 0] = range(3)
    check(layer, given, {"y": want}, tmp_path)


def test_thresholds_of_the_score(tmp_path: Path) -> None:
    """YOLO takes a score that equals the threshold, YOLOv3 does not: here 0.5 * 0.5."""
    x = np.zeros((1, 14, 1, 1))
    x[0, 7:] = -1  # the second box is below
    two = v2(num_classes=2, num_box=2)
    want = yolo2([x], 2, 2, 0.25, 0.5, BIASES)
    assert want[0, 0, :, 2].tolist() == [0.25]
    check(two, {"x0": x}, {"y": want}, tmp_path)
    three = v3(1, (2, 1), num_classes=2, mask_group_num=1)
    check(three, {"x0": x}, {"y": np.array([[[[0, *[-1] * 6]]]])}, tmp_path, dynamic=())


def test_an_overlap_that_equals_the_threshold_hides(tmp_path: Path) -> None:
    """Two boxes of one centre, one twice as wide: an overlap of a half."""
    x = np.zeros((1, 18, 1, 1))
    x[0, 4], x[0, 5] = 5, 5
    x[0, 13], x[0, 15] = 4, 5
    layer = (
        v2()
        .replace(" biases: 1.5 biases: 1.25", " biases: 1 biases: 2")
        .replace(" biases: 3.5 biases: 4.5", " biases: 2 biases: 2")
    )
    want = yolo2([x], 4, 2, 0.25, 0.5, [1, 2, 2, 2])
    assert want.shape[2] == 1
    check(layer, {"x0": x}, {"y": want}, tmp_path)
    more = yolo2([x], 4, 2, 0.25, 0.500001, [1, 2, 2, 2])
    assert more.shape[2] == 2
    check(layer.replace("d: 0.5", "d: 0.500001"), {"x0": x}, {"y": more}, tmp_path)


def test_equal_scores_keep_their_order(tmp_path: Path) -> None:
    x = np.zeros((2, 18, 4, 4))
    x[:, 2:4], x[:, 11:13], x[:, 4], x[:, 13] = -3, -3, 2, 2
    want = yolo2([x], 4, 2, 0.1, 0.9, BIASES)
    assert want.shape[2] == 32  # the second image's boxes are the first's
    layer = v2(confidence_threshold=0.1, nms_threshold=0.9)
    check(layer, {"x0": x}, {"y": want}, tmp_path)


def test_shapes_say_how_many_at_most(tmp_path: Path) -> None:
    net = load(v3(), maps((2, 16, 4, 4), (2, 16, 8, 8)), tmp_path)
    assert net.shapes()["y"] == (1, 1, 2 * (16 + 64) * 2 * 3, 7)


ONE = ((1, 18, 3, 3),)
TWO = ((1, 16, 2, 2), (1, 16, 4, 4))
REFUSED: dict[str, tuple[str, type[CaffeError], Any]] = {
    v2(coords=5): ("coords 5 wants 4", ShapeError, ONE),
    v2(num_box=3): ("4 biases, wants 6", ShapeError, ONE),
    v2(num_classes=5): ("18 channels, wants 20: 10 for each of 2 boxes", ShapeError, ONE),
    v2(): ("is no square grid", ShapeError, ((1, 18, 3, 4),)),
    v2().replace("num_classes: 4", ""): ("num_classes is not given", ShapeError, ONE),
    v3(gaussian_box="true"): ("gaussian_box", UnsupportedError, TWO),
    v3(1): ("1 bottoms, wants 2: mask_group_num", ShapeError, TWO[:1]),
    v3(masks=(0, 1, 2)): ("3 masks, wants 4: 2 boxes in each of 2 groups", ShapeError, TWO),
    v3(masks=(0, 1, 2, 3)): ("mask 3 wants 8 biases, got 6", ShapeError, TWO),
    v3(): ("differ in images", ShapeError, ((1, 16, 2, 2), (2, 16, 4, 4))),
}


@pytest.mark.parametrize("layer", REFUSED)
def test_refused(layer: str, tmp_path: Path) -> None:
    message, kind, shapes = REFUSED[layer]
    with pytest.raises(kind, match=message):
        load(layer, maps(*shapes), tmp_path)
