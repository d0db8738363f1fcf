"""The losses of the second and third YOLO against Caffe's loops over cells, anchors and objects."""

from __future__ import annotations

from math import atan, exp, log, pi
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import converter
from caffe_layers.forks.yolo.box_likeness import likeness, slope
from prototxt import CaffeError
from tests.support import restated
from tests.support.recorded import assert_close
from tests.support.trained import Batch, Weights, check_trained

SIDE, CLASSES = 4, 3
BIASES = (0.75, 0.5, 1.5, 2.0)
"""Sizes in cells."""
PAIRS = (4.0, 6.0, 10.0, 8.0, 20.0, 24.0, 40.0, 30.0)
"""Sizes in pixels, of cells of 8."""


def sigmoid(v: float) -> float:
    return 1 / (1 + exp(-v))


def overlap(a: list[float], b: list[float]) -> float:
    """Return intersection over union of boxes of centre and size."""
    sides = [
        min(a[k] + a[k + 2] / 2, b[k] + b[k + 2] / 2)
        - max(a[k] - a[k + 2] / 2, b[k] - b[k + 2] / 2)
        for k in range(2)
    ]
    if min(sides) < 0:
        return 0.0
    common = sides[0] * sides[1]
    return common / (a[2] * a[3] + b[2] * b[3] - common)


def corners(a: list[float]) -> tuple[float, float, float, float]:
    """Return top, bottom, left and right."""
    return a[1] - a[3] / 2, a[1] + a[3] / 2, a[0] - a[2] / 2, a[0] + a[2] / 2


def alikeness(kind: str, a: list[float], b: list[float]) -> float:
    (t, bot, left, r), (t2, bot2, left2, r2) = corners(a), corners(b)
    w, h = max(r, r2) - min(left, left2), max(bot, bot2) - min(t, t2)
    iou = overlap(a, b)
    if kind == "GIOU":
        meet = max(0.0, min(r, r2) - max(left, left2)) * max(0.0, min(bot, bot2) - max(t, t2))
        return iou - (w * h - (a[2] * a[3] + b[2] * b[3] - meet)) / (w * h)
    far = (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2
    if kind == "DIOU":
        return iou - (far / (w * w + h * h)) ** 0.6
    if kind == "CIOU":
        turn = 4 / pi**2 * (atan(b[2] / b[3]) - atan(a[2] / a[3])) ** 2
        return iou - far / (w * w + h * h) - turn / (1 - iou + turn + 1e-6) * turn
    return iou


def likeness_slope(kind: str, a: list[float], b: list[float]) -> list[float]:
    """Return darknet's slopes by x, y, w and h, as its code has them, a corner after the other."""
    (t, bot, left, r), (t2, bot2, left2, r2) = corners(a), corners(b)
    x, x2 = (bot - t) * (r - left), (bot2 - t2) * (r2 - left2)
    ih, iw = min(bot, bot2) - max(t, t2), min(r, r2) - max(left, left2)
    i = iw * ih
    u = x + x2 - i
    cw, ch = max(r, r2) - min(left, left2), max(bot, bot2) - min(t, t2)
    c = cw * ch
    moved = {"t": -(r - left), "b": r - left, "l": -(bot - t), "r": bot - t}
    common = {
        "t": -iw if t > t2 else 0.0,
        "b": iw if bot < bot2 else 0.0,
        "l": -ih if left > left2 else 0.0,
        "r": ih if r < r2 else 0.0,
    }
    around = {
        "t": -cw if t < t2 else 0.0,
        "b": cw if bot > bot2 else 0.0,
        "l": -ch if left < left2 else 0.0,
        "r": ch if r > r2 else 0.0,
    }
    p = {}
    for side in "tblr":
        du = moved[side] - common[side]
        p[side] = (u * common[side] - i * du) / (u * u) if u > 0 else 0.0
        if kind == "GIOU":
            more = (c * du - u * around[side]) / (c * c)
            p[side] = more if iw <= 0 or ih <= 0 else p[side] + more
    found = [p["l"] + p["r"], p["t"] + p["b"], p["r"] - p["l"], p["b"] - p["t"]]
    if kind not in ("DIOU", "CIOU"):
        return found
    diagonal, s = cw * cw + ch * ch, (a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2
    beyond = float(left < left2), float(r > r2), float(t < t2), float(bot > bot2)
    cw_x, cw_w = beyond[1] - beyond[0], (beyond[1] + beyond[0]) / 2
    ch_y, ch_h = beyond[3] - beyond[2], (beyond[3] + beyond[2]) / 2
    more = [
        (2 * (b[0] - a[0]) * diagonal - 2 * cw * cw_x * s) / diagonal**2,
        (2 * (b[1] - a[1]) * diagonal - 2 * ch * ch_y * s) / diagonal**2,
        2 * cw * cw_w * s / diagonal**2,
        2 * ch * ch_h * s / diagonal**2,
    ]
    if kind == "CIOU":
        angle = atan(b[2] / b[3]) - atan(a[2] / a[3])
        turn = 4 / pi**2 * angle**2
        alpha = turn / (1 - i / u + turn + 1e-6)
        more[2] += alpha * 8 / pi**2 * angle * a[3]
        more[3] -= alpha * 8 / pi**2 * angle * a[2]
    apart = iw <= 0 or ih <= 0
    return more if apart else [one + other for one, other in zip(found, more, strict=True)]


def labels(rows: int, images: int = 2) -> np.ndarray:
    """Return objects of which two share a cell and an anchor, and some cells' boxes."""
    found = np.zeros((images, rows, 5))
    found[0, :4] = [
        [1, 0.31, 0.4, 0.2, 0.15],
        [0, 0.8, 0.8, 0.4, 0.5],
        [2, 0.33, 0.45, 0.19, 0.16],
        [2, 0.8125, 0.78, 0.375, 0.5],
    ]
    found[1, :2] = [[2, 0.55, 0.1, 0.1, 0.1], [0, 0.05, 0.9, 0.3, 0.25]]
    found[1, 3] = [1, 0.5, 0.5, 0.5, 0.5]  # behind the end
    return found


def region(
    x: np.ndarray,
    objects: np.ndarray,
    *,
    early: bool = False,
    warm: bool = False,
    bias_match: int = 1,
    rescore: int = 1,
    object_scale: float = 1.0,
    class_scale: float = 1.0,
    noobject_scale: float = 0.5,
    coord_scale: float = 5.0,
    thresh: float = 0.25,
    parents: tuple[int, ...] = (),
) -> tuple[float, np.ndarray]:
    """Return the loss, and what Caffe takes for its gradient times N."""
    classes = len(parents) or CLASSES
    size = 5 + classes
    delta = np.zeros_like(x)

    def box(b: int, n: int, j: int, i: int, row: int, column: int) -> list[float]:
        v = x[b, n * size : n * size + 4, row, column]
        return [
            (i + sigmoid(v[0])) / SIDE,
            (j + sigmoid(v[1])) / SIDE,
            exp(v[2]) * BIASES[2 * n] / SIDE,
            exp(v[3]) * BIASES[2 * n + 1] / SIDE,
        ]

    def draw(b: int, n: int, row: int, column: int, target: list[float], scale: float) -> None:
        v = x[b, n * size : n * size + 4, row, column]
        d = delta[b, n * size : n * size + 4, row, column]
        for k, corner in enumerate((column, row)):
            s = sigmoid(v[k])
            d[k] = -scale * (target[k] * SIDE - corner - s) * s * (1 - s)
            d[2 + k] = -scale * (log(target[2 + k] * SIDE / BIASES[2 * n + k]) - v[2 + k])

    for b in range(len(x)):
        for row, column, n in np.ndindex(SIDE, SIDE, 2):
            best = 0.0
            for item in objects[b]:
                if not item[1]:
                    break
                best = max(best, overlap(box(b, n, row, column, row, column), list(item[1:])))
            s = sigmoid(x[b, n * size + 4, row, column])
            drawn = 0.0 if best > thresh else noobject_scale * s * s * (1 - s)
            delta[b, n * size + 4, row, column] = drawn
            if warm:
                middle = [(column + 0.5) / SIDE, (row + 0.5) / SIDE]
                anchor = [BIASES[2 * n + k] / SIDE for k in range(2)]
                draw(b, n, row, column, middle + anchor, 0.01)
        for item in objects[b]:
            if not item[3]:
                break
            truth = list(item[1:])
            column, row = int(truth[0] * SIDE), int(truth[1] * SIDE)
            best, chosen = 0.0, 0
            for n in range(2):
                pred = box(b, n, row, column, row, column)
                if bias_match:
                    pred[2:] = [BIASES[2 * n + k] / SIDE for k in range(2)]
                alike = overlap([0, 0, *pred[2:]], [0, 0, *truth[2:]])
                if alike > best:
                    best, chosen = alike, n
            scores = rescore and not early
            weight = coord_scale * (1 if rescore or early else 2 - truth[2] * truth[3])
            draw(b, chosen, row, column, truth, weight)
            at = chosen * size
            shared = overlap(box(b, chosen, row, column, row, column), truth)
            s = sigmoid(x[b, at + 4, row, column])
            target = shared if scores else 1.0
            delta[b, at + 4, row, column] = -object_scale * (target - s) * s * (1 - s)
            raw = [exp(v) for v in x[b, at + 5 : at + size, row, column]]
            own = int(item[0])
            while parents and own >= 0:
                group = [c for c in range(classes) if parents[c] == parents[own]]
                for c in group:
                    p = raw[c] / sum(raw[other] for other in group)
                    delta[b, at + 5 + c, row, column] = -class_scale * ((c == own) - p)
                own = parents[own]
            for c in range(0 if parents else classes):
                p = raw[c] / sum(raw)
                delta[b, at + 5 + c, row, column] = -class_scale * ((c == item[0]) - p)
    return float((delta**2).sum()) / (1 if early else len(x)), delta


def text(kind: str, fields: dict[str, Any], *, bottom: str = "x") -> str:
    message = "region_loss_param" if kind == "RegionLoss" else "yolov3_param"
    words = {
        name: str(value).lower() if isinstance(value, bool) else value
        for name, value in fields.items()
    }
    said = " ".join(f"{name}: {word}" for name, word in words.items())
    many = " ".join(f"biases: {v}" for v in (BIASES if kind == "RegionLoss" else PAIRS))
    return (
        f'layer {{ name: "L" type: "{kind}" bottom: "{bottom}" bottom: "l" top: "y" '
        f"{message} {{ num_class: {CLASSES} num: 2 {many} {said} }} }}"
    )


def predictions(width: int = SIDE) -> np.ndarray:
    return np.random.default_rng(1701).standard_normal((2, 2 * (5 + CLASSES), SIDE, width))


def check_loss(
    layer: str, inputs: dict[str, np.ndarray], loss: float, delta: np.ndarray, folder: Path
) -> converter.CaffeNet:
    net = restated.load(layer, inputs, folder, phase="TRAIN")
    x = torch.from_numpy(inputs["x"]).requires_grad_()
    top = net.blobs({"x": x, "l": torch.from_numpy(inputs["l"])})["y"]
    assert_close(top.detach(), np.array(loss), "loss")
    (3 * top).backward()
    assert_close(x.grad, 3 * delta / len(delta), "gradient")
    return net


REGION = [
    {"thresh": 0.25},
    {"thresh": 0.25, "rescore": 0, "coord_scale": 1, "object_scale": 5, "noobject_scale": 1},
    {"thresh": 0.125, "bias_match": 0, "class_scale": 2},
]


@pytest.mark.parametrize("fields", REGION)
@pytest.mark.parametrize("rows", [300, 7])
def test_region_loss(rows: int, fields: dict[str, Any], tmp_path: Path) -> None:
    inputs = {"x": predictions(), "l": labels(rows).reshape(2, 1, rows, 5)}
    loss, delta = region(inputs["x"], labels(rows), **fields)
    check_loss(text("RegionLoss", fields), inputs, loss, delta, tmp_path)


@pytest.mark.parametrize("fields", REGION)
def test_region_loss_of_30_objects(fields: dict[str, Any], tmp_path: Path) -> None:
    inputs = {"x": predictions(), "l": labels(30).reshape(2, 150)}
    loss, delta = region(inputs["x"], labels(30), early=True, warm=True, **fields)
    net = check_loss(text("RegionLoss", fields), inputs, loss, delta, tmp_path)
    net.layers["L"].passes.fill_(12800 // 2 - 1)
    given = {name: torch.from_numpy(array) for name, array in inputs.items()}
    assert_close(net.blobs(given)["y"].detach(), np.array(loss), "the last pass to anchors")
    loss, _ = region(inputs["x"], labels(30), early=True, **fields)
    assert_close(net.blobs(given)["y"].detach(), np.array(loss), "the first pass without")


PARENTS = (-1, -1, 0, 0, 0, 2, 2)
"""A tree of two roots, three of the first's children, and two of a child's."""
TREE = "".join(f"n{number:08d} {parent}\n" for number, parent in enumerate(PARENTS))


def of_a_tree(more: str = "", *, bottom: str = "x") -> str:
    layer = text("RegionLoss", {"thresh": 0.25, "class_scale": 2}, bottom=bottom)
    classes = f'num_class: {len(PARENTS)} softmax_tree: "voc.tree" {more}'
    return layer.replace(f"num_class: {CLASSES}", classes)


def test_region_loss_of_a_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("voc.tree").write_text(TREE)
    Path("voc.map").write_text("1\n5 x\n4\n")
    x = np.random.default_rng(3).standard_normal((2, 2 * (5 + len(PARENTS)), SIDE, SIDE))
    found = labels(30)
    for more, own in (("", np.array([5, 3, 6])), ('class_map: "voc.map"', np.array([1, 5, 4]))):
        named = found.copy()
        named[..., 0] = own[found[..., 0].astype(int)]
        loss, delta = region(x, named, early=True, warm=True, class_scale=2, parents=PARENTS)
        given = found if more else named
        inputs = {"x": x, "l": given.reshape(2, 150)}
        check_loss(of_a_tree(more), inputs, loss, delta, tmp_path)
    # Two objects of one cell's anchor: groups of the first that the other has none of stay.
    assert (found[0, 0, 1:3] * SIDE).astype(int).tolist() == [1, 1]
    alone = found.copy()
    alone[0, 0, 1:3] = 200000
    net = restated.load(of_a_tree(), {"x": x, "l": alone.reshape(2, 150)}, tmp_path)
    with pytest.raises(CaffeError, match="images of a class alone"):
        net({"x": torch.from_numpy(x), "l": torch.from_numpy(alone.reshape(2, 150))})


def test_files_of_a_tree_are_not_eric612s(tmp_path: Path) -> None:
    """His code makes no use of them: they need not be there."""
    inputs = {"x": predictions(), "l": labels(7).reshape(2, 35)}
    loss, delta = region(inputs["x"], labels(7))
    layer = text("RegionLoss", {"thresh": 0.25, "softmax_tree": '"t"', "class_map": '"m"'})
    check_loss(layer, inputs, loss, delta, tmp_path)


@pytest.mark.parametrize(
    ("tree", "says"),
    [
        ("n00000001 -1\n", "voc.tree has 1 classes, num_class is 7"),
        (TREE.replace("n00000003 0", "n00000003 9"), "voc.tree:4: the parent 9 wants an earlier"),
        (
            TREE.replace("n00000003 0", "n00000003"),
            "voc.tree:4: 'n00000003' has no parent's number",
        ),
    ],
)
def test_trees_refused(
    tree: str, says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("voc.tree").write_text(tree)
    inputs = {"x": np.zeros((2, 24, 4, 4)), "l": labels(30).reshape(2, 150)}
    net = restated.load(of_a_tree(), inputs, tmp_path)
    with pytest.raises(CaffeError, match=says):
        net({name: torch.from_numpy(array) for name, array in inputs.items()})


def yolov3(
    x: np.ndarray,
    objects: np.ndarray,
    *,
    mask: tuple[int, ...],
    object_scale: float = 1.0,
    class_scale: float = 1.0,
    coord_scale: float = 5.0,
    thresh: float = 0.25,
    use_logic_gradient: bool = False,
    use_focal_loss: bool = False,
    iou_thresh: float = 0.5,
    label_smooth_eps: float = 0.125,
    iou_loss: str = "MSE",
    iou_normalizer: float = 0.25,
    max_delta: float = 10.0,
    accumulate: bool = True,
) -> tuple[float, np.ndarray]:
    """Return the loss, and what Caffe takes for its gradient times N."""
    unlike: list[float] = []
    size, (height, width) = 5 + CLASSES, x.shape[2:]
    seen = np.where(
        np.isin(np.arange(x.shape[1]) % size, (2, 3))[:, None, None], x, 1 / (1 + np.exp(-x))
    )
    delta = np.zeros_like(x)
    pairs = [
        (PAIRS[2 * k] / (width * 8), PAIRS[2 * k + 1] / (height * 8))
        for k in range(len(PAIRS) // 2)
    ]

    def learn(b: int, local: int, row: int, column: int, item: np.ndarray) -> None:
        v = seen[b, local * size : (local + 1) * size, row, column]
        d = delta[b, local * size : (local + 1) * size, row, column]
        scale = coord_scale * (2 - item[3] * item[4])
        if iou_loss == "MSE":
            squares(v, d, scale, local, row, column, item)
        else:
            by_likeness(v, d, local, row, column, item)
        learn_rest(v, d, item)

    def by_likeness(
        v: np.ndarray, d: np.ndarray, local: int, row: int, column: int, item: np.ndarray
    ) -> None:
        box = [(column + v[0]) / width, (row + v[1]) / height]
        box += [exp(v[2 + k]) * pairs[mask[local]][k] for k in range(2)]
        truth = [float(value) for value in item[1:]]
        found = likeness_slope(iou_loss, box, truth)
        for k in range(4):
            one = found[k] * (exp(v[k]) if k > 1 else 1.0) * iou_normalizer
            one = min(max(one, -max_delta), max_delta)
            d[k] = (d[k] if accumulate else 0.0) - one
        unlike.append(1 - alikeness("DIOU" if iou_loss == "IOU" else iou_loss, box, truth))

    def squares(
        v: np.ndarray,
        d: np.ndarray,
        scale: float,
        local: int,
        row: int,
        column: int,
        item: np.ndarray,
    ) -> None:
        d[0] = -scale * (item[1] * width - column - v[0])
        d[1] = -scale * (item[2] * height - row - v[1])
        for k in range(2):
            d[2 + k] = -scale * (log(item[3 + k] / pairs[mask[local]][k]) - v[2 + k])

    def learn_rest(v: np.ndarray, d: np.ndarray, item: np.ndarray) -> None:
        d[4] = -(1 - v[4]) * (object_scale if use_logic_gradient else 1)
        own = int(item[0])
        if d[5 + own]:
            d[5 + own] = -class_scale * (1 - label_smooth_eps + 0.5 * label_smooth_eps - v[5 + own])
            return
        p = v[5 + own] + 1e-15
        focus = -(1 - p) * (2 * p * log(p) + p - 1) * 0.5 if use_focal_loss else 1.0
        for c in range(CLASSES):
            target = float(c == own)
            if not use_focal_loss:
                target = target * (1 - label_smooth_eps) + 0.5 * label_smooth_eps
            d[5 + c] = -class_scale * (target - v[5 + c]) * focus

    for b in range(len(x)):
        for row, column, n in np.ndindex(height, width, 2):
            v = seen[b, n * size : n * size + 5, row, column]
            pred = [(column + v[0]) / width, (row + v[1]) / height]
            pred += [exp(v[2 + k]) * pairs[mask[n]][k] for k in range(2)]
            best = 0.0
            for item in objects[b]:
                if not item[1]:
                    break
                best = max(best, alikeness(iou_loss, pred, list(item[1:])))
            delta[b, n * size + 4, row, column] = 0.0 if best > thresh else v[4]
        for item in objects[b]:
            if not item[3]:
                break
            column, row = int(item[1] * width), int(item[2] * height)
            alike = [alikeness(iou_loss, [0, 0, *pair], [0, 0, *item[3:]]) for pair in pairs]
            chosen = int(np.argmax(alike))
            if chosen in mask and alike[chosen] > 0:
                chosen = mask.index(chosen)  # from here on a place, as in Caffe
                learn(b, chosen, row, column, item)
            for n in range(len(pairs)):
                if n in mask and n != chosen and iou_thresh < 1 and alike[n] > iou_thresh:
                    learn(b, mask.index(n), row, column, item)
    shown = (delta**2).sum()
    slopes = seen.copy()
    if iou_loss != "MSE":
        for channel in range(x.shape[1]):
            if channel % size < 4:
                shown -= (delta[:, channel] ** 2).sum()
            if channel % size < 2:
                slopes[:, channel] = x[:, channel]  # Caffe keeps the numbers themselves
        shown += iou_normalizer * sum(unlike) / max(len(unlike), 1)
    loss = float(shown) / len(x)
    if use_logic_gradient:
        for channel in range(x.shape[1]):
            if channel % size not in (2, 3):
                delta[:, channel] *= slopes[:, channel] * (1 - slopes[:, channel])
    return loss, delta


YOLOV3 = [
    {"mask": (0, 1)},
    {"mask": (2, 3), "iou_thresh": 0.25, "coord_scale": 1, "class_scale": 2, "object_scale": 5},
    {"mask": (1, 2), "iou_thresh": 0.125, "label_smooth_eps": 0},
    {"mask": (1, 2), "use_logic_gradient": True, "object_scale": 5},
    {"mask": (0, 2), "use_focal_loss": True, "iou_thresh": 0.25},
    {"mask": (1, 2), "use_focal_loss": True, "iou_thresh": 1},
    {"mask": (3, 2), "thresh": 0.5},
    {"mask": (1, 0), "iou_loss": "GIOU", "iou_thresh": 0.5},  # an anchor of 0.541 by IOU alone
    *(
        {"mask": (1, 2), "iou_loss": kind, "iou_thresh": 0.25, "iou_normalizer": 0.5} | more
        for kind in ("IOU", "GIOU", "DIOU", "CIOU")
        for more in (
            {},
            {"accumulate": False, "max_delta": 0.25},
            {"use_logic_gradient": True, "thresh": 0.125, "mask": (3, 2)},
        )
    ),
]


@pytest.mark.parametrize("fields", YOLOV3)
@pytest.mark.parametrize("width", [SIDE, 5])
def test_yolov3(width: int, fields: dict[str, Any], tmp_path: Path) -> None:
    x, found = predictions(width), labels(9)
    found[0, 4] = found[0, 0]  # a class that its cell has already
    loss, delta = yolov3(x, found, **fields)
    layer = text(
        "Yolov3", {"thresh": 0.25, "label_smooth_eps": 0.125} | fields | {"anchors_scale": 8}
    )
    first, second = fields["mask"]
    layer = layer.replace(f"mask: {fields['mask']}", f"mask: {first} mask: {second}")
    check_loss(layer, {"x": x, "l": found.reshape(2, 45)}, loss, delta, tmp_path)


def test_without_any_object(tmp_path: Path) -> None:
    empty = np.zeros((2, 150))
    x = predictions()
    loss, delta = region(x, empty.reshape(2, 30, 5), early=True, warm=True)
    layer = text("RegionLoss", {"thresh": 0.25})
    check_loss(layer, {"x": x, "l": empty}, loss, delta, tmp_path)


ERRORS = [
    ("RegionLoss", {}, (2, 16, 4, 5), (2, 150), "no square grid"),
    ("RegionLoss", {}, (2, 15, 4, 4), (2, 150), "wants N x 16 x H x W: 2 boxes a cell"),
    ("RegionLoss", {"coords": 5}, (2, 16, 4, 4), (2, 150), "coords is 5, wants 4"),
    ("RegionLoss", {"num": 3}, (2, 24, 4, 4), (2, 150), "4 biases, wants 2 for each of 3 boxes"),
    (
        "RegionLoss",
        {"softmax_tree": '"t"'},
        (2, 16, 4, 4),
        (2, 150),
        "'t' is not there\n  fix: put it",
    ),
    ("RegionLoss", {"class_map": '"m"'}, (2, 16, 4, 4), (2, 150), "'m' is not there"),
    ("RegionLoss", {}, (2, 16, 4, 4), (2, 7), "are no rows of 5 for each of 2 images"),
    ("RegionLoss", {}, (2, 16, 4, 4), (1, 1, 3, 8), "are no rows of 5 for each of 2 images"),
    ("Yolov3", {}, (2, 16, 4, 4), (2, 15), r"mask \(\) wants 2 numbers below 4"),
]


@pytest.mark.parametrize(("kind", "fields", "shape", "label", "message"), ERRORS)
def test_errors(
    kind: str,
    fields: dict[str, Any],
    shape: tuple[int, ...],
    label: tuple[int, ...],
    message: str,
    tmp_path: Path,
) -> None:
    inputs = {"x": np.zeros(shape), "l": np.zeros(label)}
    layer = text(kind, fields)
    layer = layer.replace("num: 2 ", "") if "num" in fields else layer
    with pytest.raises(CaffeError, match=message):
        restated.load(layer, inputs, tmp_path)(
            {name: torch.from_numpy(array) for name, array in inputs.items()}
        )


def test_an_object_outside_and_onnx(tmp_path: Path) -> None:
    found = labels(30)
    found[0, 0, 1] = 4.5
    inputs = {"x": predictions(), "l": found.reshape(2, 150)}
    net = restated.load(text("RegionLoss", {}), inputs, tmp_path)
    with pytest.raises(CaffeError, match="centre lies outside of its picture"):
        net({name: torch.from_numpy(array) for name, array in inputs.items()})
    with pytest.raises(CaffeError, match="it has no ONNX form"):
        converter.export_onnx(net, tmp_path / "net.onnx", with_losses=True, dynamic=())


CONV = """layer { name: "conv" type: "Convolution" bottom: "x" top: "conv" convolution_param {
  num_output: 16 kernel_size: 1 weight_filler { type: "gaussian" std: 0.3 } } }
"""
BATCHES = {
    "x": np.random.default_rng(7).standard_normal((2, 2, 3, SIDE, SIDE)),
    "l": np.stack([labels(7), labels(7)[::-1]]),
}


@pytest.mark.parametrize(
    ("kind", "more"),
    [("RegionLoss", {}), ("Yolov3", {})]
    + [("Yolov3", {"iou_loss": kind}) for kind in ("IOU", "GIOU", "DIOU", "CIOU")],
)
def test_trained(kind: str, more: dict[str, Any], tmp_path: Path) -> None:
    """Of a 1 x 1 convolution, beside Caffe's loops for the loss and its gradient."""
    fields: dict[str, Any] = {"thresh": 0.25, "coord_scale": 1} | more
    layer = text(kind, fields, bottom="conv")
    if kind == "Yolov3":
        masks = "mask: 0 mask: 2 anchors_scale: 8 label_smooth_eps: 0.125 "
        layer = layer.replace("thresh", f"{masks} thresh")

    def step(
        weights: Weights, batch: Batch, iteration: int
    ) -> tuple[torch.Tensor, dict[tuple[str, int], torch.Tensor]]:
        weight, bias = (blob.detach() for blob in weights["conv"])
        y = torch.einsum("oc,nchw->nohw", weight[:, :, 0, 0], batch["x"]) + bias[:, None, None]
        if kind == "RegionLoss":
            loss, delta = region(y.numpy(), batch["l"].numpy(), **fields)
        else:
            loss, delta = yolov3(y.numpy(), batch["l"].numpy(), mask=(0, 2), **fields)
        g = torch.from_numpy(delta) / 2
        dw = torch.einsum("nohw,nchw->oc", g, batch["x"])[..., None, None]
        return torch.tensor(loss, dtype=torch.float64), {
            ("conv", 0): dw,
            ("conv", 1): g.sum((0, 2, 3)),
        }

    check_trained(CONV + layer, BATCHES, step, tmp_path, rate=0.01)


def test_trained_by_a_tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("voc.tree").write_text(TREE)
    batches = {"x": BATCHES["x"], "l": np.stack([labels(30), labels(30)[::-1]])}

    def step(
        weights: Weights, batch: Batch, iteration: int
    ) -> tuple[torch.Tensor, dict[tuple[str, int], torch.Tensor]]:
        weight, bias = (blob.detach() for blob in weights["conv"])
        y = torch.einsum("oc,nchw->nohw", weight[:, :, 0, 0], batch["x"]) + bias[:, None, None]
        fields = {"early": True, "warm": True, "class_scale": 2, "parents": PARENTS}
        loss, delta = region(y.numpy(), batch["l"].numpy(), **fields)
        g = torch.from_numpy(delta) / 2
        dw = torch.einsum("nohw,nchw->oc", g, batch["x"])[..., None, None]
        return torch.tensor(loss, dtype=torch.float64), {
            ("conv", 0): dw,
            ("conv", 1): g.sum((0, 2, 3)),
        }

    conv = CONV.replace("num_output: 16", "num_output: 24")
    check_trained(conv + of_a_tree(bottom="conv"), batches, step, tmp_path, rate=0.005)


KINDS = ("IOU", "GIOU", "DIOU", "CIOU")
BOXES = np.array(
    [
        [0.4, 0.5, 0.3, 0.2],  # in a corner of the other
        [0.5, 0.5, 0.1, 0.1],  # within it
        [0.5, 0.52, 0.9, 0.8],  # around it
        [0.1, 0.2, 0.1, 0.2],  # apart along both axes
        [0.1, 0.5, 0.2, 0.3],  # apart along one
        [0.9, 0.9, 0.3, 0.7],
    ]
)
OTHER = [0.55, 0.48, 0.3, 0.4]


@pytest.mark.parametrize("kind", KINDS)
def test_likeness_and_its_slope(kind: str) -> None:
    for box in BOXES:
        a, b = torch.from_numpy(box), torch.tensor(OTHER, dtype=torch.float64)
        want = alikeness(kind, list(map(float, box)), OTHER)
        assert_close(likeness(kind, a, b), np.array(want), str(box))
        slopes = likeness_slope(kind, list(map(float, box)), OTHER)
        assert_close(slope(kind, a, b), np.array(slopes), str(box))
    nothing = torch.zeros(4, dtype=torch.float64)
    assert likeness(kind, nothing, nothing).isnan() or likeness(kind, nothing, nothing) == 0


@pytest.mark.parametrize("kind", ["IOU", "GIOU"])
def test_slopes_are_derivatives_where_boxes_meet(kind: str) -> None:
    """By w and h twice as steep, as darknet's authors say."""
    b = torch.tensor(OTHER, dtype=torch.float64)
    for box in BOXES[:3]:
        a = torch.from_numpy(box).requires_grad_()
        (found,) = torch.autograd.grad(likeness(kind, a, b), a)
        found = found * found.new_tensor([1.0, 1.0, 2.0, 2.0])
        assert_close(slope(kind, a.detach(), b), found, str(box))
