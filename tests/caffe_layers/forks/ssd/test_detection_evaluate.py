"""DetectionEvaluate against its rule as plain loops."""

from __future__ import annotations

from functools import partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import converter
from prototxt import CaffeError, FormatError, ShapeError, UnsupportedError
from tests.support.restated import check, load
from tests.support.ssd_boxes import Box, iou

RNG = np.random.default_rng(1701)
CLASSES = 4


def evaluate(
    found: np.ndarray,
    given: np.ndarray,
    background: int = 0,
    threshold: float = 0.5,
    difficult: bool = True,
    sizes: list[tuple[int, int]] | None = None,
) -> np.ndarray:
    objects = list(takewhile(lambda row: row[0] != -1, given[0, 0].tolist()))
    rows = []
    for c in range(CLASSES):
        if c != background:
            own = [row for row in objects if row[1] == c and (difficult or not row[7])]
            rows.append([-1, c, len(own), -1, -1])
    valid = [row for row in found[0, 0].tolist() if row[1] != -1]
    lines = {image: i for i, image in enumerate(sorted(set(found[0, 0, :, 0].tolist())))}
    for image in sorted({row[0] for row in valid}):
        for label in sorted({row[1] for row in valid if row[0] == image}):
            seen: set[int] = set()
            own = [row for row in valid if row[:2] == [image, label]]
            match = [row for row in objects if row[:2] == [image, label]]
            for row in sorted(own, key=lambda row: -row[2]) if match else own:
                overlap = partial(iou_in, sizes[lines[image]]) if sizes else iou
                shares = [overlap(row[3:], other[3:7]) for other in match]
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


def iou_in(size: tuple[int, int], a: Box, b: Box) -> float:
    """Return what the fork does in pixels: sides are one larger, and none common count as 1."""
    height, width = size
    scale = (width, height, width, height)
    a, b = ([min(max(v, 0.0), 1.0) * s for v, s in zip(box, scale, strict=True)] for box in (a, b))
    if b[0] > a[2] or b[2] < a[0] or b[1] > a[3] or b[3] < a[1]:
        common = 1.0
    else:
        common = (min(a[2], b[2]) - max(a[0], b[0]) + 1) * (min(a[3], b[3]) - max(a[1], b[1]) + 1)
    own, other = ((box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b))
    return common / (own + other - common)


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
    words = words.replace(": {", " {")
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


def test_objects_end_at_the_first_of_no_image(tmp_path: Path) -> None:
    # Seen in Caffe, as the order of detections where there are no objects.
    corners = [0.0, 0.0, 0.5, 0.5]
    scores = {1: (0.25, 0.75), 2: (0.25, 0.75)}
    found = np.array([[0, c, score, *corners] for c, pair in scores.items() for score in pair])
    given = np.array([[image, c, 0, *corners, 0] for image, c in ((0, 1), (-1, 3), (0, 2), (0, 3))])
    want = [[-1, 1, 1, -1, -1], [-1, 2, 0, -1, -1], [-1, 3, 0, -1, -1]]
    want += [[0, 1, 0.75, 1, 0], [0, 1, 0.25, 0, 1], [0, 2, 0.25, 0, 1], [0, 2, 0.75, 0, 1]]
    inputs = {"found": found[None, None], "gt": given[None, None]}
    check(text(), inputs, {"y": np.array(want)[None, None]}, tmp_path, onnx=False)


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
        ({"resize_param": "{ resize_mode: FIT_LARGE_SIZE_AND_PAD }"}, "FIT_LARGE_SIZE_AND_PAD"),
    ],
)
def test_refusals(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(CaffeError, match=message):
        load(text(**fields), bottoms(), tmp_path)


def test_boxes_in_pixels(tmp_path: Path) -> None:
    sizes = [(9, 13), (5, 4), (20, 31), (7, 7), (12, 3)]
    lines = "".join(f"image{i} {height} {width}\n" for i, (height, width) in enumerate(sizes))
    (tmp_path / "sizes.txt").write_text(lines)
    inputs = bottoms()
    inputs["found"][0, 0, :3, 3:5] -= 0.4  # over the edge
    name = tmp_path / "sizes.txt"
    net = load(text(name_size_file=f'"{name}"', overlap_threshold=0.6), inputs, tmp_path)
    tensors = {key: torch.from_numpy(array) for key, array in inputs.items()}
    plain = evaluate(inputs["found"], inputs["gt"], threshold=0.6)
    for turn in range(3):
        ahead = sizes[4 * turn % 5 :] + sizes[: 4 * turn % 5]
        want = evaluate(inputs["found"], inputs["gt"], threshold=0.6, sizes=ahead)
        assert not np.array_equal(want, plain)
        assert np.array_equal(net(tensors)["y"].numpy(), want), turn
    net.reset_state()
    want = evaluate(inputs["found"], inputs["gt"], threshold=0.6, sizes=sizes)
    assert np.array_equal(net(tensors)["y"].numpy(), want)


def test_boxes_that_do_not_meet_have_one_pixel_in_common(tmp_path: Path) -> None:
    (tmp_path / "sizes.txt").write_text("image 3 2\n")
    found = np.array([[[[0, 1, 0.9, 0.0, 0.0, 0.1, 0.2], [-1, 1, 0.9, 0, 0, 1, 1]]]])
    given = np.array([[[[0, 1, 0, 0.7, 0.8, 0.9, 0.9, 0]]]])
    fields = {"name_size_file": f'"{tmp_path}/sizes.txt"', "overlap_threshold": 0.2}
    want = evaluate(found[:, :, :1], given, threshold=0.2, sizes=[(3, 2)])
    assert want[0, 0, -1, 3] == 1
    check(text(**fields), {"found": found, "gt": given}, {"y": want}, tmp_path, onnx=False)


def test_rows_of_no_image_take_no_size(tmp_path: Path) -> None:
    sizes = [(9, 13), (50, 40)]
    (tmp_path / "sizes.txt").write_text("a 9 13\nb 50 40\n")
    inputs = bottoms()
    inputs["found"][0, 0, :, 0] = 0
    inputs["found"][0, 0, :3] = [-1, 1, 0.5, 0, 0, 1, 1]
    want = evaluate(inputs["found"][:, :, 3:], inputs["gt"], threshold=0.6, sizes=sizes)
    net = text(name_size_file=f'"{tmp_path}/sizes.txt"', overlap_threshold=0.6)
    check(net, inputs, {"y": want}, tmp_path, onnx=False)


@pytest.mark.parametrize("content", [None, "image 3\n", "image high wide\n"])
def test_list_of_sizes_is_asked_for_when_it_is_needed(content: str | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "sizes.txt").write_text(content)
    inputs = bottoms()
    net = load(text(name_size_file=f'"{tmp_path}/sizes.txt"'), inputs, tmp_path)
    with pytest.raises(FormatError, match="is no list of lines 'name height width'"):
        net({key: torch.from_numpy(array) for key, array in inputs.items()})


def test_background_is_refused(tmp_path: Path) -> None:
    for name in ("found", "gt"):
        inputs = bottoms()
        inputs[name][0, 0, 0, 1] = 0
        net = load(text(), inputs, tmp_path)
        with pytest.raises(ShapeError, match="is of the background"):
            net({key: torch.from_numpy(array) for key, array in inputs.items()})
