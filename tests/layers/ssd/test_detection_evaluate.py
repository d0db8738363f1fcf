"""DetectionEvaluate against its rule as plain loops."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from restated import check, load
from ssd_boxes import iou

import converter
from prototxt import CaffeError, ShapeError, UnsupportedError

RNG = np.random.default_rng(1701)
CLASSES = 4


def evaluate(
    found: np.ndarray,
    given: np.ndarray,
    background: int = 0,
    threshold: float = 0.5,
    difficult: bool = True,
) -> np.ndarray:
    objects = [row for row in given[0, 0].tolist() if row[0] != -1]
    rows = []
    for c in range(CLASSES):
        if c != background:
            own = [row for row in objects if row[1] == c and (difficult or not row[7])]
            rows.append([-1, c, len(own), -1, -1])
    valid = [row for row in found[0, 0].tolist() if row[1] != -1]
    for image in sorted({row[0] for row in valid}):
        for label in sorted({row[1] for row in valid if row[0] == image}):
            seen: set[int] = set()
            own = [row for row in valid if row[:2] == [image, label]]
            match = [row for row in objects if row[:2] == [image, label]]
            for row in sorted(own, key=lambda row: -row[2]):
                shares = [iou(row[3:], other[3:7]) for other in match]
                right, wrong = 0, 1
                if shares and max(shares) >= np.float32(threshold):
                    at = shares.index(max(shares))
                    if not difficult and match[at][7]:
                        wrong = 0
                    elif at not in seen:
                        right, wrong = 1, 0
                        seen.add(at)
                rows.append([*row[:3], right, wrong])
    return np.array(rows, float)[None, None]


def boxes(count: int) -> np.ndarray:
    low = RNG.uniform(0, 0.3, (count, 2))
    return np.concatenate([low, low + RNG.uniform(0.3, 0.6, (count, 2))], 1)


def bottoms(detections: int = 40, objects: int = 12) -> dict[str, np.ndarray]:
    labels = RNG.integers(1, CLASSES, detections)
    images = RNG.integers(0, 4, detections)
    found = [images, labels, np.round(RNG.uniform(0, 1, detections), 1), *boxes(detections).T]
    numbers = RNG.integers(0, 3, objects)  # none in the last image
    given = [
        numbers,
        RNG.integers(1, CLASSES, objects),
        numbers * 0,
        *boxes(objects).T,
        RNG.integers(0, 2, objects),
    ]
    return {
        "found": np.stack(found, 1)[None, None],
        "gt": np.stack(given, 1)[None, None].astype(float),
    }


def text(**fields: Any) -> str:
    words = " ".join(f"{k}: {v}" for k, v in ({"num_classes": CLASSES} | fields).items())
    return (
        'layer { name: "L" type: "DetectionEvaluate" bottom: "found" bottom: "gt" top: "y" '
        f"detection_evaluate_param {{ {words} }} }}"
    )


@pytest.mark.parametrize("threshold", [0.2, 0.5, 0.8])
@pytest.mark.parametrize("difficult", [True, False])
def test_rule(threshold: float, difficult: bool, tmp_path: Path) -> None:
    inputs = bottoms()
    net = text(overlap_threshold=threshold, evaluate_difficult_gt=str(difficult).lower())
    want = evaluate(inputs["found"], inputs["gt"], threshold=threshold, difficult=difficult)
    check(net, inputs, {"y": want}, tmp_path, onnx=False)


def test_rows_that_say_nothing_was_found_are_left_out(tmp_path: Path) -> None:
    inputs = bottoms()
    inputs["found"] = np.full((1, 1, 3, 7), -1.0)
    inputs["found"][0, 0, :, 0] = range(3)
    want = evaluate(inputs["found"], inputs["gt"])
    assert want.shape == (1, 1, 3, 5)
    check(text(), inputs, {"y": want}, tmp_path, onnx=False)


def test_no_objects(tmp_path: Path) -> None:
    inputs = bottoms() | {"gt": np.full((1, 1, 1, 8), -1.0)}
    want = evaluate(inputs["found"], inputs["gt"])
    assert set(want[0, 0, 3:, 4]) == {1}
    check(text(), inputs, {"y": want}, tmp_path, onnx=False)


def test_another_background(tmp_path: Path) -> None:
    inputs = bottoms()
    for name in inputs:
        labels = inputs[name][0, 0, :, 1]
        labels[labels == 2] = 0
    want = evaluate(inputs["found"], inputs["gt"], background=2)
    check(text(background_label_id=2), inputs, {"y": want}, tmp_path, onnx=False)


def test_it_is_no_part_of_an_exported_model(tmp_path: Path) -> None:
    net = load(text(), bottoms(), tmp_path)
    with pytest.raises(UnsupportedError, match="nothing is left to export"):
        converter.export_onnx(net, tmp_path / "net.onnx")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"overlap_threshold": 0}, "overlap_threshold 0 wants more than 0"),
        ({"name_size_file": '"sizes.txt"'}, "name_size_file"),
    ],
)
def test_refusals(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=message):
        load(text(**fields), bottoms(), tmp_path)


def test_background_is_refused(tmp_path: Path) -> None:
    for name in ("found", "gt"):
        inputs = bottoms()
        inputs[name][0, 0, 0, 1] = 0
        net = load(text(), inputs, tmp_path)
        with pytest.raises(ShapeError, match="is of the background"):
            net({key: torch.from_numpy(array) for key, array in inputs.items()})
