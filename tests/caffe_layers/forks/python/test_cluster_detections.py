"""DetectNet's clustering against groupRectangles box by box."""

from __future__ import annotations

from math import log
from pathlib import Path

import numpy as np
import pytest

from prototxt import CaffeError
from tests.support.restated import check, load

RNG = np.random.default_rng(4)
WIDTH, HEIGHT, STRIDE = 48, 32, 4


def layer(param: str, tops: int = 1) -> str:
    quoted = " ".join(f'top: "y{at}"' for at in range(tops))
    return (
        f'layer {{ name: "L" type: "Python" bottom: "coverage" bottom: "boxes" {quoted} '
        'python_param { module: "caffe.layers.detectnet.clustering" layer: "ClusterDetections" '
        f'param_str: "{param}" }} }}'
    )


def alike(a: list[int], b: list[int], eps: float) -> bool:
    delta = eps * (min(a[2], b[2]) + min(a[3], b[3])) * 0.5
    ends = [(a[i] + a[i + 2], b[i] + b[i + 2]) for i in (0, 1)]
    return all(abs(p - q) <= delta for p, q in [*zip(a[:2], b[:2], strict=True), *ends])


def grouped(boxes: list[list[int]], threshold: int, eps: float) -> list[tuple[list[int], int]]:
    if threshold <= 0:
        return [(box, 1) for box in boxes]
    groups: list[list[list[int]]] = []
    left = list(boxes)
    while left:
        group, waiting = [], [left.pop(0)]
        while waiting:
            group.append(waiting.pop())
            near = [box for box in left if alike(group[-1], box, eps)]
            left = [box for box in left if not alike(group[-1], box, eps)]
            waiting += near
        groups.append(group)
    means = []
    for group in groups:
        share = np.float32(1) / np.float32(len(group))
        sums = np.sum(group, 0)
        means.append(([round(float(np.float32(one) * share)) for one in sums], len(group)))
    kept = []
    for i, (a, n) in enumerate(means):
        hidden = n <= threshold
        for j, (b, m) in enumerate(means):
            if i == j or m <= threshold:
                continue
            dx, dy = round(b[2] * eps), round(b[3] * eps)
            low = a[0] >= b[0] - dx and a[1] >= b[1] - dy
            high = a[0] + a[2] <= b[0] + b[2] + dx and a[1] + a[3] <= b[1] + b[3] + dy
            hidden |= low and high and (m > max(3, n) or n < 3)
        if not hidden:
            kept.append((a, n))
    return kept


def clustered(
    coverage: np.ndarray, boxes: np.ndarray, at: int, covered: float, threshold: int, eps: float,
    least: int, most: int,
) -> np.ndarray:  # fmt: skip
    top = np.zeros((len(coverage), most, 5))
    for n in range(len(coverage)):
        found = []
        for y in range(min(WIDTH // STRIDE, HEIGHT // STRIDE, coverage.shape[2])):
            for x in range(coverage.shape[3]):
                if coverage[n, at, y, x] >= covered:
                    move = np.array([x, y, x, y]) * STRIDE
                    found.append([int(value) for value in boxes[n, :, y, x] + move])
        rows = [
            [*box, log(count)]
            for box, count in grouped(found, threshold, eps)
            if box[3] - box[1] >= least
        ][:most]
        top[n, : len(rows)] = np.reshape(rows, (-1, 5)).astype(np.float16)
    return top


def scene(images: int, classes: int) -> dict[str, np.ndarray]:
    """Return a grid whose cells tell, not quite alike, of one of three objects."""
    coverage = RNG.uniform(0, 1, (images, classes, HEIGHT // STRIDE, WIDTH // STRIDE))
    objects = np.array([[3, 2, 20, 22], [25, 6, 44, 28], [27, 9, 40, 24]])
    owner = RNG.integers(0, 3, (images, *coverage.shape[2:]))
    y, x = np.mgrid[: coverage.shape[2], : coverage.shape[3]] * STRIDE
    boxes = objects[owner] + RNG.normal(size=(*owner.shape, 4)) * 0.5 - np.stack([x, y, x, y], -1)
    return {"coverage": coverage, "boxes": boxes.transpose(0, 3, 1, 2).round(2)}


@pytest.mark.parametrize(
    ("threshold", "eps", "least", "covered"),
    [(1, 0.05, 16, 0.6), (3, 0.08, 0, 0.5), (2, 0.1, 18, 0.8), (0, 0.1, 20, 0.7), (1, 0.05, 0, 2)],
)
def test_boxes_of_two_classes(
    threshold: int, eps: float, least: int, covered: float, tmp_path: Path
) -> None:
    inputs = scene(2, 2)
    text = layer(f"{WIDTH}, {HEIGHT}, {STRIDE}, {covered}, {threshold}, {eps}, {least}, 2, 6", 2)
    wants = {
        f"y{at}": clustered(*inputs.values(), at, covered, threshold, eps, least, 6)
        for at in range(2)
    }
    if covered < 1:
        assert wants["y0"][..., 2].any()
    check(text, inputs, wants, tmp_path)


def test_what_lies_within_more_boxes_goes(tmp_path: Path) -> None:
    """Two small boxes within six large ones, and within two; five small ones elsewhere stay."""
    inputs = scene(1, 1)
    inputs["coverage"][:] = 0
    y, x = np.mgrid[: HEIGHT // STRIDE, : WIDTH // STRIDE] * STRIDE
    wanted = [[2, 2, 40, 28]] * 6 + [[6, 6, 20, 14]] * 2 + [[5, 5, 9, 60]] * 5
    wanted += [[100, 100, 50, 50]] * 2 + [[110, 110, 9, 9]] * 2
    for at, box in enumerate(wanted):
        row, column = divmod(at, WIDTH // STRIDE)
        inputs["coverage"][0, 0, row, column] = 1
        inputs["boxes"][0, :, row, column] = box - np.stack([x, y, x, y])[:, row, column]
    want = clustered(*inputs.values(), 0, 0.5, 1, 0.01, -200, 50)
    assert want[0, :4].round(2).tolist() == [
        [2, 2, 40, 28, 1.79], [5, 5, 9, 60, 1.61], [100, 100, 50, 50, 0.69], [0] * 5]  # fmt: skip
    text = layer(f"{WIDTH}, {HEIGHT}, {STRIDE}, 0.5, 1, 0.01, -200")
    check(text, inputs, {"y0": want}, tmp_path)


def test_boxes_of_sides_below_0_are_alike_to_none(tmp_path: Path) -> None:
    """Not to themselves either: each is a group of its own."""
    inputs = scene(1, 1)
    inputs["coverage"][0, 0, 0, :3] = 1
    inputs["boxes"][0, 2:, 0, :3] = -300
    want = clustered(*inputs.values(), 0, 0.6, 1, 0.05, -400, 50)
    assert want[0, 0].any()
    text = layer(f"{WIDTH}, {HEIGHT}, {STRIDE}, 0.6, 1, 0.05, -400")
    check(text, inputs, {"y0": want}, tmp_path)


def test_boxes_that_are_nothing_are_none(tmp_path: Path) -> None:
    """Not even a group of two, where no number of an image's boxes is anything."""
    boxes = np.zeros((1, 4, 1, 2))
    boxes[0, ::2, 0, 1] = -8  # a cell's place is added
    inputs = {"coverage": np.ones((1, 1, 1, 2)), "boxes": boxes}
    text = layer("16, 8, 8, 0.5, 1, 0.1, 0")
    check(text, inputs, {"y0": np.zeros((1, 50, 5))}, tmp_path)
    boxes[0, 3, 0, 1] = 0.5  # something, though cut off to 0
    want = np.zeros((1, 50, 5))
    want[0, 0, 4] = np.float16(log(2))
    check(text, inputs, {"y0": want}, tmp_path)


def test_no_more_rows_than_the_image_has_cells_across(tmp_path: Path) -> None:
    inputs = scene(1, 1)
    want = clustered(*(array[:, :, :3] for array in inputs.values()), 0, 0.4, 1, 0.1, 0, 50)
    assert want[0, :, 4].any()
    check(layer("12, 32, 4, 0.4, 1, 0.1, 0"), inputs, {"y0": want}, tmp_path)


@pytest.mark.parametrize(
    ("param", "says"),
    [("8, 8, 9, 0.5, 1, 0.1, 0", "stride 9 of an image"), ("8, 8, 8, 0.5", "4 numbers, wants 7")],
)
def test_refused(param: str, says: str, tmp_path: Path) -> None:
    inputs = {"coverage": np.ones((1, 1, 1, 1)), "boxes": np.zeros((1, 4, 1, 1))}
    with pytest.raises(CaffeError, match=says):
        load(layer(param), inputs, tmp_path)


def test_boxes_of_another_grid_are_refused(tmp_path: Path) -> None:
    inputs = {"coverage": np.ones((1, 1, 2, 2)), "boxes": np.zeros((1, 4, 2, 1))}
    with pytest.raises(CaffeError, match="wants \\(1, 4, 2, 2\\)"):
        load(layer("8, 8, 4, 0.5, 1, 0.1, 0"), inputs, tmp_path)
