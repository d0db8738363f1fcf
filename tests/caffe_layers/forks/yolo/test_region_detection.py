"""caffe-yolov2's DetectionOutput, DetectionEvaluate and BoxData against plain loops."""

from __future__ import annotations

from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import converter
from prototxt import CaffeError
from tests.support.restated import check, load

RNG = np.random.default_rng(1701)
BIASES = [1.5, 1.25, 3.5, 4.5]


def sigmoid(t: float) -> float:
    return 1 / (1 + exp(-t))


def corners(box: list[float]) -> list[float]:
    x, y, w, h = box
    return [max(x - w / 2, 0), max(y - h / 2, 0), min(x + w / 2, 1), min(y + h / 2, 1)]


def iou(first: list[float], second: list[float]) -> float:
    a, b = corners(first), corners(second)
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return width * height / (sum(areas) - width * height)


def detected(x: np.ndarray, classes: int, boxes: int, least: float, nms: float) -> np.ndarray:
    side = x.shape[2]
    found: list[list[float]] = []
    for j, i, n in np.ndindex(side, side, boxes):
        t = x[0, n * (5 + classes) : (n + 1) * (5 + classes), j, i]
        shares = [exp(v - max(t[5:])) for v in t[5:]]
        best = max(range(classes), key=lambda c: (t[5 + c], -c))
        score = sigmoid(t[4]) * shares[best] / sum(shares)
        box = [(i + sigmoid(t[0])) / side, (j + sigmoid(t[1])) / side,
               exp(t[2]) * BIASES[2 * n] / side, exp(t[3]) * BIASES[2 * n + 1] / side]  # fmt: skip
        if score >= least:
            found.append([0, best, score, *box])
    hidden = set()
    for a in range(len(found)):
        for b in range(a + 1, len(found)):
            if a not in hidden and iou(found[a][3:], found[b][3:]) >= nms:
                hidden.add(b)
    kept = [row for at, row in enumerate(found) if at not in hidden]
    return np.array(kept or [[0, *[-1] * 6]], float)[None, None]


def layer(**other: Any) -> str:
    values = {"side": 5, "num_classes": 4, "num_box": 2, "confidence_threshold": 0.25,
              "nms_threshold": 0.5}  # fmt: skip
    param = " ".join(f"{k}: {v}" for k, v in (values | other).items())
    param += "".join(f" biases: {bias}" for bias in BIASES)
    return (
        'layer { name: "L" type: "DetectionOutput" bottom: "x" top: "y" '
        f"detection_output_param {{ {param} }} }}"
    )


@pytest.mark.parametrize("least", [0.01, 0.25, 0.6, 1])
@pytest.mark.parametrize("nms", [0.2, 0.5])
def test_detections(least: float, nms: float, tmp_path: Path) -> None:
    x = RNG.normal(size=(1, 18, 5, 5)) * 1.5
    want = detected(x, 4, 2, float(np.float32(least)), nms)
    assert (want[0, 0, 0, 1] == -1) == (least == 1)
    text = layer(confidence_threshold=least, nms_threshold=nms)
    check(text, {"x": x}, {"y": want}, tmp_path, dynamic=())


def test_an_earlier_box_hides_a_better_one(tmp_path: Path) -> None:
    x = np.full((1, 18, 1, 1), -9.0)
    x[0, 2:4], x[0, 11:13] = np.log(4), 1  # both larger than the image: there they are the same
    x[0, 4], x[0, 5], x[0, 13], x[0, 14] = 1, 5, 9, 5
    want = detected(x, 4, 2, 0.25, 0.9)
    assert want.shape[2] == 1
    assert want[0, 0, 0, 2] < 0.8
    check(layer(side=1, nms_threshold=0.9), {"x": x}, {"y": want}, tmp_path, dynamic=())


EVALUATE = (
    'layer { name: "E" type: "DetectionEvaluate" bottom: "found" bottom: "label" top: "y" '
    "detection_evaluate_param { num_classes: 3 overlap_threshold: 0.3 } }"
)


def judged(found: np.ndarray, objects: np.ndarray) -> list[list[float]]:
    given = objects.reshape(-1, 5)
    given = given[: next((n for n, row in enumerate(given) if row[3] == 0), len(given))]
    rows: list[list[float]] = [[-1, c, (given[:, 0] == c).sum(), -1, -1] for c in range(3)]
    for label in sorted({int(row[1]) for row in found} - {-1}):
        own = [row[1:].tolist() for row in given if row[0] == label]
        boxes = [row for row in found if row[1] == label]
        if own:
            boxes.sort(key=lambda row: -row[2])
        seen: set[int] = set()
        for row in boxes:
            shares = [iou(row[3:].tolist(), box) for box in own]
            best = int(np.argmax(shares)) if own else -1
            right = bool(own) and shares[best] >= 0.3 and best not in seen
            if right:
                seen.add(best)
            rows.append([0, label, row[2], int(right), int(not right)])
    return rows


def test_evaluation(tmp_path: Path) -> None:
    label = np.zeros((1, 8, 5))
    label[0, :5] = [[0, 0.3, 0.3, 0.2, 0.2], [2, 0.5, 0.5, 0.4, 0.3], [2, 0.9, 0.9, 0.4, 0.4],
                    [0, 0.7, 0.7, 0.2, 0.3], [1, 0.2, 0.2, 0, 0.3]]  # fmt: skip
    label[0, 6] = [0, 0.2, 0.8, 0.1, 0.1]  # behind the one without a width
    found = np.array([[0, 2, 0.4, 0.5, 0.52, 0.4, 0.3], [0, 2, 0.9, 0.52, 0.5, 0.4, 0.3],
                      [0, 1, 0.3, 0.2, 0.2, 0.2, 0.2], [0, 1, 0.5, 0.2, 0.2, 0.2, 0.2],
                      [0, 2, 0.6, 0.95, 0.95, 0.4, 0.4], [0, 0, 0.7, 0.3, 0.3, 0.19, 0.2],
                      [0, 0, 0.8, 0.5, 0.9, 0.1, 0.1]])  # fmt: skip
    want = judged(found, label)
    assert [row[3] for row in want[3:]] == [0, 1, 0, 0, 1, 1, 0]
    inputs = {"found": found[None, None], "label": label.reshape(1, 40)}
    wants = {"y": np.array(want)[None, None]}
    check(EVALUATE, inputs, wants, tmp_path, onnx=False, dialect="yolov2")


def test_nothing_found_is_no_detection(tmp_path: Path) -> None:
    inputs = {"found": np.array([[[[0.0, *[-1] * 6]]]]), "label": np.zeros((1, 150))}
    want = np.array([[-1, c, 0, -1, -1] for c in range(3)], float)[None, None]
    check(EVALUATE, inputs, {"y": want}, tmp_path, onnx=False, dialect="yolov2")


def test_the_rest_of_the_file_tells_the_evaluation(tmp_path: Path) -> None:
    """BoxData is intel's too, and intel's DetectionEvaluate is SSD's."""
    path = tmp_path / "net.prototxt"
    path.write_text(
        'layer { name: "D" type: "BoxData" top: "x" top: "label" data_param '
        '{ source: "l" batch_size: 1 side: 5 } transform_param { crop_size: 5 } }'
        'layer { name: "C" type: "Convolution" bottom: "x" top: "c" convolution_param '
        "{ num_output: 18 kernel_size: 1 } }"
        + layer().replace('"x"', '"c"').replace('"y"', '"found"')
        + EVALUATE
    )
    net = converter.load(path)
    assert net.layers["E"].fork == "yolov2"
    assert net.shapes()["label"] == (1, 150)
    assert net.shapes()["y"] == (1, 1, 53, 5)


def test_the_size_of_images_is_advised(tmp_path: Path) -> None:
    path = tmp_path / "net.prototxt"
    path.write_text('layer { name: "D" type: "BoxData" top: "x" top: "label" data_param '
                    '{ source: "l" batch_size: 2 side: 7 } }')  # fmt: skip
    with pytest.raises(CaffeError, match="--input-shape x=2,3,224,224"):
        converter.load(path)


REFUSED = {
    layer(side=4): (1, 18, 5, 5, "has 5 rows, wants side 4"),
    layer(): (2, 18, 5, 5, "has 2 images, wants one"),
    layer(num_box=3): (1, 18, 5, 5, "4 biases, wants 6"),
    layer().replace("num_classes: 4", ""): (1, 18, 5, 5, "num_classes is not given"),
}


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str, tmp_path: Path) -> None:
    *shape, says = REFUSED[text]
    with pytest.raises(CaffeError, match=says):
        load(text, {"x": np.zeros(shape)}, tmp_path)


@pytest.mark.parametrize(
    ("found", "label", "says"),
    [
        ((1, 1, 3, 6), (1, 150), "wants 1 x 1 x K x 7"),
        ((1, 1, 3, 7), (1, 151), "rows of 5 numbers"),
        ((1, 1, 3, 7), (2, 150), "one image's rows"),
    ],
)
def test_evaluation_refused(
    found: tuple[int, ...], label: tuple[int, ...], says: str, tmp_path: Path
) -> None:
    with pytest.raises(CaffeError, match=says):
        load(EVALUATE, {"found": np.zeros(found), "label": np.zeros(label)}, tmp_path,
             dialect="yolov2")  # fmt: skip
