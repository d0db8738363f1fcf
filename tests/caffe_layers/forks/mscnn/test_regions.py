"""BoxOutput, BoxGroupOutput, DecodeBBox, ScaleRoute and FrcnnOutput against the forks' loops."""

from __future__ import annotations

from math import exp, log, log2, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch

import converter
from prototxt import CaffeError, UnsupportedError
from tests.support.restated import check, load

RNG = np.random.default_rng(1701)
NORM = (
    "bbox_reg_param { bbox_mean: 0.125 bbox_mean: -0.0625 bbox_mean: 0.25 bbox_mean: 0 "
    "bbox_std: 0.5 bbox_std: 0.25 bbox_std: 0.75 bbox_std: 0.5 CLASSES }"
)
MEAN, STD = np.array([0.125, -0.0625, 0.25, 0]), np.array([0.5, 0.25, 0.75, 0.5])
Rows = list[list[float]]


def layer(kind: str, bottoms: str, param: str, tops: str = "y", norm: str = "") -> str:
    ends = "".join(f' bottom: "{name}"' for name in bottoms.split())
    ends += "".join(f' top: "{name}"' for name in tops.split())
    reg = NORM.replace("CLASSES", norm)
    return f'layer {{ name: "L" type: "{kind}"{ends} {param} {reg} }}'


def iou(a: list[float], b: list[float], mode: str, pixel: int) -> float:
    """Return how much two boxes, as corners, have in common."""
    sides = [[box[2] - box[0] + pixel, box[3] - box[1] + pixel] for box in (a, b)]
    if pixel and (a[2] < a[0] or a[3] < a[1] or b[2] < b[0] or b[3] < b[1]):
        return 0
    if not pixel and min(map(min, sides)) <= 0:
        return 0
    low = [max(a[i], b[i]) for i in (0, 1)]
    high = [min(a[i + 2], b[i + 2]) for i in (0, 1)]
    if pixel and (low[0] > high[0] or low[1] >= high[1]):
        return 0
    if not pixel and (low[0] >= high[0] or low[1] >= high[1]):
        return 0
    common = (high[0] - low[0] + pixel) * (high[1] - low[1] + pixel)
    areas = [side[0] * side[1] for side in sides]
    whole = {"IOMU": min(areas), "IOFU": areas[0]}.get(mode, sum(areas) - common)
    return common / whole


def suppressed(rows: Rows, threshold: float, mode: str, pixel: int) -> Rows:
    """Return the rows [x1, y1, x2, y2, score, ...] that none before them hides."""
    kept: Rows = []
    for row in rows:
        if all(iou(one, row, mode, pixel) <= threshold for one in kept):
            kept.append(row)
    return kept


def output(images: list[Rows]) -> tuple[np.ndarray, np.ndarray]:
    rows = [[n, *row] for n, image in enumerate(images) for row in image]
    if not rows:
        return np.array([[0, 1, 1, 10, 10.0]]).reshape(1, 5, 1, 1), np.zeros((1, 6, 1, 1))
    whole = np.array(rows).reshape(len(rows), 6, 1, 1)
    return whole[:, :5], whole


BOX = (
    "box_output_param { fg_thr: FG iou_thr: 0.4 nms_type: 'MODE' field_h: 20 field_h: 24 "
    "field_w: 16 field_w: 30 downsample_rate: 4 downsample_rate: 8 field_whr: 2 field_xyr: 3 "
    "min_size: 9 LIMITS }"
)


def box_output(
    maps: list[np.ndarray], fg: float, mode: str, before: int, after: int
) -> tuple[np.ndarray, np.ndarray]:
    images: list[Rows] = []
    for n in range(len(maps[0])):
        rows: Rows = []
        for x, (fw, fh), rate in zip(maps, ((16, 20), (30, 24)), (4, 8), strict=True):
            classes, height, width = x.shape[1] - 4, *x.shape[2:]
            for h in range(height):
                for w in range(width):
                    score = max(x[n, 1:classes, h, w]) - x[n, 0, h, w]
                    if score < fg:
                        continue
                    dx, dy, dw, dh = x[n, classes:, h, w] * STD + MEAN
                    dx, dy = (min(max(d, -1 / 3), 1 / 3) for d in (dx, dy))
                    dw, dh = (min(max(d, -log(2)), log(2)) for d in (dw, dh))
                    bw, bh = fw * exp(dw), fh * exp(dh)
                    x1 = max(dx * fw + (w + 0.5) * rate - bw / 2, 0)
                    y1 = max(dy * fh + (h + 0.5) * rate - bh / 2, 0)
                    bw, bh = min(bw, width * rate - x1), min(bh, height * rate - y1)
                    if bw >= 9 and bh >= 9:
                        rows.append([x1, y1, x1 + bw, y1 + bh, score])
        rows.reverse()
        rows.sort(key=lambda row: -row[4])
        rows = suppressed(rows[: before or None], 0.4, mode, 0)
        images.append(rows[: after or None])
    return output(images)


@pytest.mark.parametrize(
    ("fg", "mode", "before", "after"),
    [
        (-1, "IOU", 0, 0),
        (0, "IOU", 12, 5),
        (0, "IOMU", 0, 0),
        (0, "IOFU", 15, 0),
        (99, "IOU", 0, 0),
    ],
)
def test_box_output(fg: float, mode: str, before: int, after: int, tmp_path: Path) -> None:
    maps = [RNG.normal(size=(2, 7, 6, 8)), RNG.normal(size=(2, 7, 3, 4))]
    maps[0][:, :3] = maps[0][:, :3].round()  # scores that are equal
    rois, scored = box_output(maps, fg, mode, before, after)
    assert fg == 99 or len(rois) > 3
    limits = f"max_nms_num: {before} max_post_nms_num: {after}"
    param = BOX.replace("FG", str(fg)).replace("MODE", mode).replace("LIMITS", limits)
    text = layer("BoxOutput", "a b", param, "y z")
    wants = {"y": rois, "z": scored}
    onnx = mode == "IOU"
    check(text, {"a": maps[0], "b": maps[1]}, wants, tmp_path, onnx=onnx, dynamic=())
    if not onnx:
        net = load(text, {"a": maps[0], "b": maps[1]}, tmp_path)
        with pytest.raises(UnsupportedError, match=f"nms_type '{mode}'"):
            converter.export_onnx(net, tmp_path / "n.onnx")


def test_box_output_shapes_say_how_many_there_are_at_most(tmp_path: Path) -> None:
    inputs = {"a": np.zeros((2, 6, 6, 8)), "b": np.zeros((2, 6, 3, 4))}
    param = BOX.replace("FG", "0").replace("MODE", "IOU")
    for limits, rows in (("", 60), ("max_nms_num: 20", 20), ("max_post_nms_num: 7", 7)):
        net = load(layer("BoxOutput", "a b", param.replace("LIMITS", limits)), inputs, tmp_path)
        assert net.shapes()["y"] == (2 * rows, 5, 1, 1)


GROUPS = (
    "box_group_output_param { fg_thr: FG iou_thr: 0.4 field_whr: 2 field_xyr: 3 min_size: 9 LIMITS "
    "box_group_param { field_w: 16 field_w: 24 field_h: 20 field_h: 12 stride: 4 } "
    "box_group_param { field_w: 30 field_h: 24 stride: 8 } }"
)


def box_group_output(
    maps: list[np.ndarray], fg: float, before: int, after: int
) -> tuple[np.ndarray, np.ndarray]:
    groups = ((((16, 20), (24, 12)), 4), (((30, 24),), 8))
    images: list[Rows] = []
    for n in range(2):
        rows: Rows = []
        for (fields, stride), prob, shifts in zip(groups, maps[::2], maps[1::2], strict=True):
            height, width = prob.shape[2:]
            for k, (fw, fh) in enumerate(fields):
                at = n * len(fields) + k
                for h in range(height):
                    for w in range(width):
                        score = 1 - prob[at, 0, h, w]
                        if score < fg:
                            continue
                        dx, dy, dw, dh = shifts[at, :, h, w] * STD + MEAN
                        dx, dy = (min(max(d, -1 / 3), 1 / 3) for d in (dx, dy))
                        dw, dh = (min(max(d, -log(2)), log(2)) for d in (dw, dh))
                        bw, bh = fw * exp(dw), fh * exp(dh)
                        x1 = dx * fw + (w + 0.5) * stride - bw / 2
                        y1 = dy * fh + (h + 0.5) * stride - bh / 2
                        x2, y2 = min(x1 + bw - 1, width * stride), min(y1 + bh - 1, height * stride)
                        x1, y1 = max(x1, 0), max(y1, 0)
                        if x2 - x1 + 1 >= 9 and y2 - y1 + 1 >= 9:
                            rows.append([x1, y1, x2, y2, score])
        rows = sorted(rows, key=lambda row: -row[4])
        images.append(suppressed(rows[: before or None], 0.4, "IOU", 1)[: after or None])
    return output(images)


@pytest.mark.parametrize(("fg", "before", "after"), [(0, 0, 0), (0.2, 14, 5), (2, 0, 0)])
def test_box_group_output(fg: float, before: int, after: int, tmp_path: Path) -> None:
    maps = [
        RNG.uniform(size=(4, 2, 6, 8)),
        RNG.normal(size=(4, 4, 6, 8)),
        RNG.uniform(size=(2, 2, 3, 4)),
        RNG.normal(size=(2, 4, 3, 4)),
    ]
    rois, scored = box_group_output(maps, fg, before, after)
    assert fg == 2 or len(rois) > 4
    limits = f"max_nms_num: {before} max_post_nms_num: {after}"
    param = GROUPS.replace("FG", str(fg)).replace("LIMITS", limits)
    text = layer("BoxGroupOutput", "a b c d", param, "y z")
    inputs = dict(zip("abcd", maps, strict=True))
    check(text, inputs, {"y": rois, "z": scored}, tmp_path, dynamic=())


@pytest.mark.parametrize(
    ("shape", "says"),
    [((3, 2, 6, 8), r"wants \(N 2\) x C"), ((2, 2, 6, 8), r"of \[1, 2\] images")],
)
def test_box_group_output_refused(shape: tuple[int, ...], says: str, tmp_path: Path) -> None:
    param = GROUPS.replace("FG", "0").replace("LIMITS", "")
    inputs = {"a": np.zeros(shape), "b": np.zeros((shape[0], 4, 6, 8)),
              "c": np.zeros((2, 2, 3, 4)), "d": np.zeros((2, 4, 3, 4))}  # fmt: skip
    with pytest.raises(CaffeError, match=says):
        load(layer("BoxGroupOutput", "a b c d", param), inputs, tmp_path)


def moved(shifts: np.ndarray, roi: np.ndarray) -> list[float]:
    dx, dy, dw, dh = shifts * STD + MEAN
    x1, y1, x2, y2 = roi
    sides, centre = (x2 - x1 + 1, y2 - y1 + 1), ((x1 + x2) / 2, (y1 + y2) / 2)
    w, h = sides[0] * exp(dw), sides[1] * exp(dh)
    left = dx * sides[0] + centre[0] - (w - 1) / 2
    top = dy * sides[1] + centre[1] - (h - 1) / 2
    return [left, top, left + w - 1, top + h - 1]


def regions(count: int) -> np.ndarray:
    corners = RNG.uniform(0, 30, (count, 2))
    sides = RNG.uniform(1, 30, (count, 2))
    return np.concatenate([np.zeros((count, 1)), corners, corners + sides], 1)


@pytest.mark.parametrize("beyond", [(), (1, 1)])
def test_decode_bbox(beyond: tuple[int, ...], tmp_path: Path) -> None:
    rois, shifts = regions(6), RNG.normal(size=(6, 8))
    want = [[roi[0], *moved(shift[4:], roi[1:])] for roi, shift in zip(rois, shifts, strict=True)]
    inputs = {"d": shifts, "r": rois.reshape(6, 5, *beyond)}
    wants = {"y": np.array(want).reshape(6, 5, *beyond)}
    check(layer("DecodeBBox", "d r", ""), inputs, wants, tmp_path)


def test_decode_bbox_in_training_leaves_out_what_is_no_example(tmp_path: Path) -> None:
    rois, shifts = regions(8), RNG.normal(size=(8, 8))
    shifts[1, 6] = -9  # as good as no width: the box is turned inside out
    matched = np.zeros((8, 6))
    matched[:, 5] = [0.1, 0.1, 0.89, 0.91, 0.2, 0.99, 0.3, 0.4]
    want = [
        [rois[i, 0], *moved(shifts[i, 4:], rois[i, 1:])] for i in range(8) if i not in (1, 3, 5)
    ]
    text = layer("DecodeBBox", "d r m", "decode_bbox_param { gt_iou_thr: 0.9 }")
    inputs = {"d": shifts, "r": rois, "m": matched}
    net = load(text, inputs, tmp_path, phase="TRAIN")
    got = net.blobs({name: torch.from_numpy(array) for name, array in inputs.items()})["y"]
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-6)
    with pytest.raises(CaffeError, match="is for 8 regions in TRAIN"):
        load(text, inputs, tmp_path)


@pytest.mark.parametrize(
    ("low", "high", "chosen"),
    [
        (None, 10, [0, 3, 5]),
        (10, 20, [1, 4]),
        (20, None, [2]),
        (40, 50, [2]),
        (1, 4, [3]),
        (None, None, [0, 1, 2, 3, 4, 5]),
    ],
)
def test_scale_route(low: int | None, high: int | None, chosen: list[int], tmp_path: Path) -> None:
    sides = [(8, 8), (10, 10), (25, 25), (4, 9), (30, 5), (-3, 7)]
    rois = np.array([[0, 1, 2, w, h + 1] for w, h in sides], float)
    sizes = [sqrt(w * h) if w > 0 else 0 for w, h in sides]
    want = [i for i, size in enumerate(sizes) if (low or 0) <= size < (high or 1e30)]
    if not want:
        assert low
        assert high
        far = {i: abs(log2(size / sqrt(low * high))) for i, size in enumerate(sizes) if size}
        want = [min(far, key=far.__getitem__)]
    assert want == chosen
    fields = (f"low_scale: {low} " if low else "") + (f"high_scale: {high}" if high else "")
    text = (
        'layer { name: "L" type: "ScaleRoute" bottom: "r" bottom: "v" top: "y" top: "z" '
        f"scale_route_param {{ {fields} }} }}"
    )
    values = RNG.normal(size=(6, 3))
    check(text, {"r": rois, "v": values}, {"y": rois[want], "z": values[want]}, tmp_path)


def frcnn_output(
    prob: np.ndarray, shifts: np.ndarray, rois: np.ndarray, most: int, *, aware: bool
) -> np.ndarray:
    found: Rows = []
    for c in range(1, prob.shape[1]):
        rows: Rows = []
        for i, roi in enumerate(rois):
            if prob[i, c] < 0.2:
                continue
            at = 4 * c if aware else 4
            x1, y1, x2, y2 = moved(shifts[i, at : at + 4], roi[1:5])
            rows.append([max(x1, 0), max(y1, 0), min(x2, 40), min(y2, 30), prob[i, c]])
        rows.sort(key=lambda row: -row[4])
        found += [[0, *row[:4], c, row[4]] for row in suppressed(rows, 0.3, "IOU", 1)]
    if most and len(found) > most:
        best = sorted(range(len(found)), key=lambda i: -found[i][6])[:most]
        found = [found[i] for i in sorted(best)]
    return np.array([[0, *[-1] * 6], *found]).reshape(-1, 7, 1, 1)


@pytest.mark.parametrize("aware", [True, False])
@pytest.mark.parametrize("most", [0, 4])
def test_frcnn_output(aware: bool, most: int, tmp_path: Path) -> None:
    rois, prob = regions(12), RNG.dirichlet(np.ones(3), 12)
    shifts = RNG.normal(size=(12, 12 if aware else 8)) / 2
    want = frcnn_output(prob, shifts, rois, most, aware=aware)
    assert len(want) == most + 1 or (not most and len(want) > 5)
    fields = f"conf_thr: 0.2 iou_thr: 0.3 max_det_num: {most}"
    text = layer(
        "FrcnnOutput",
        "p d r s",
        f"frcnn_output_param {{ {fields} }}",
        norm=f"cls_aware: {str(aware).lower()}",
    )
    inputs = {"p": prob, "d": shifts, "r": rois, "s": np.array([[30.0, 40.0]])}
    check(text, inputs, {"y": want}, tmp_path, dynamic=())


def test_frcnn_output_that_finds_nothing(tmp_path: Path) -> None:
    text = layer("FrcnnOutput", "p d r s", "frcnn_output_param { conf_thr: 1 }",
                 norm="cls_aware: false")  # fmt: skip
    inputs = {"p": RNG.dirichlet(np.ones(3), 4), "d": np.zeros((4, 8)), "r": regions(4),
              "s": np.array([[30.0, 40.0]])}  # fmt: skip
    check(text, inputs, {"y": np.array([[0, *[-1] * 6]]).reshape(1, 7, 1, 1)}, tmp_path, dynamic=())
