"""MS-CNN's and Cascade R-CNN's losses of fields against Caffe's loops over places."""

from __future__ import annotations

from math import exp, log, sqrt
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import converter
from prototxt import CaffeError
from tests.support import restated
from tests.support.recorded import assert_close
from tests.support.trained import Batch, Weights, check_trained

HEIGHT, WIDTH = 3, 4
MEAN, STD = (0.125, 0.25, -0.5, 0.0), (0.5, 0.25, 2.0, 0.5)
REGRESSION = (
    "bbox_reg_param { "
    + " ".join(f"bbox_mean: {mean} bbox_std: {std}" for mean, std in zip(MEAN, STD, strict=True))
    + " }"
)
FIELDS = ((16, 8), (24, 32))
"""Widths and heights."""


def labels(count: int, classes: int) -> np.ndarray:
    random = np.random.default_rng(7)
    found = np.zeros((count, 6, HEIGHT, WIDTH))
    found[:, 0] = random.integers(0, classes, (count, HEIGHT, WIDTH)) * (
        random.uniform(size=(count, HEIGHT, WIDTH)) < 0.4
    )
    found[:, 1] = random.uniform(0, WIDTH * 8, (count, HEIGHT, WIDTH))
    found[:, 2] = random.uniform(0, HEIGHT * 8, (count, HEIGHT, WIDTH))
    found[:, 3:5] = random.uniform(1, 40, (count, 2, HEIGHT, WIDTH))  # some narrower than 2
    found[:, 5] = random.uniform(0, 1, (count, HEIGHT, WIDTH))
    assert (found[:, 0] > 0).sum() > 3
    return found


def wants(item: np.ndarray, row: int, column: int, field: tuple[int, int]) -> list[float]:
    """Return the shifts of a label's box."""
    raw = [
        (item[1] - (column + 0.5) * 8) / field[0],
        (item[2] - (row + 0.5) * 8) / field[1],
        log(max(item[3], 2) / field[0]),
        log(max(item[4], 2) / field[1]),
    ]
    return [(v - mean) / std for v, mean, std in zip(raw, MEAN, STD, strict=True)]


def bounds(whr: float, xyr: float) -> list[tuple[float, float]]:
    found = []
    for least, most, at in ((-1 / xyr, 1 / xyr, 0), (log(1 / whr), log(whr), 2)):
        mean, std = (MEAN[at] + MEAN[at + 1]) / 2, sqrt(STD[at] * STD[at + 1])
        found += [((least - mean) / std, (most - mean) / std)] * 2
    return found


def loss_of(
    scores: np.ndarray,
    shifts: np.ndarray,
    label: np.ndarray,
    *,
    kept: np.ndarray,
    weight: np.ndarray,
    boxed: np.ndarray,
    limits: list[tuple[float, float]] | None,
    share: float,
    smooth: bool = True,
    objectness: bool = False,
    ignore: int | None = None,
) -> tuple[list[float], np.ndarray, np.ndarray]:
    """Return the top and the gradients of its first number, of places and weights as chosen."""
    total = boxes = 0.0
    count = many = 0
    ds, db = np.zeros_like(scores), np.zeros_like(shifts)
    for n, row, column in np.ndindex(len(scores), HEIGHT, WIDTH):
        own = int(label[n, 0, row, column])
        known = min(1, own) if objectness else own
        if kept[n, row, column] and known != ignore:
            raw = [exp(v) for v in scores[n, :, row, column]]
            p = [v / sum(raw) for v in raw]
            total -= log(p[known]) * weight[n, row, column]
            count += 1
            for c in range(len(p)):
                ds[n, c, row, column] = (p[c] - (c == known)) * weight[n, row, column]
        if boxed[n, row, column] and own != ignore:
            field = FIELDS[n % len(FIELDS)]
            target = wants(label[n, :, row, column], row, column, field)
            for k in range(4):
                v = shifts[n, k, row, column]
                if limits is not None:
                    v = min(max(v, limits[k][0]), limits[k][1])
                d = v - target[k]
                far = smooth and abs(d) >= 1
                boxes += abs(d) - 0.5 if far else d * d / 2
                db[n, k, row, column] = np.sign(d) if far else d
                many += 1
    total, boxes = total / max(count, 1), share * boxes / max(many, 1)
    return [total + boxes, boxes], ds / max(count, 1), share * db / max(many, 1)


def check(
    layer: str,
    inputs: dict[str, np.ndarray],
    top: list[float],
    gradients: dict[str, np.ndarray],
    folder: Path,
) -> None:
    net = restated.load(layer, inputs, folder)
    given = {name: torch.from_numpy(array) for name, array in inputs.items()}
    for name in gradients:
        given[name].requires_grad_()
    found = net.blobs(given)["y"]
    assert_close(found.detach(), np.array(top).reshape(1, 1, 1, 2), "y")
    (3 * found).sum().backward()
    for name, gradient in gradients.items():
        assert_close(given[name].grad, 3 * gradient, name)


# ---- DetectionLoss ------------------------------------------------------------------------------

ONE: list[dict[str, Any]] = [
    {"sample_mode": "all"},
    {"sample_mode": "all", "bb_smooth": False, "iou_weighted": True},
    {"sample_mode": "all", "pos_neg_weighted": True, "iou_weighted": True},
    {"sample_mode": "bootstrap", "bg_multiple": 1, "pos_neg_weighted": True},
    {"sample_mode": "bootstrap", "bg_multiple": 2, "ignore_label": 2},
    {"sample_mode": "random", "bg_multiple": 2000},
    {"sample_mode": "mixture", "bg_multiple": 4000, "pos_neg_weighted": True},
    {"sample_mode": "all", "objectness": True, "bg_multiple": 3, "pos_neg_weighted": True},
]


def one(fields: dict[str, Any], x: np.ndarray, label: np.ndarray, classes: int) -> tuple:
    objects = label[:, 0] > 0
    threshold = float(np.float32(0.7))
    kept = np.zeros_like(objects)
    for n in range(len(x)):
        free = [
            at
            for at in np.ndindex(HEIGHT, WIDTH)
            if label[n, 0][at] == 0 and label[n, 5][at] < threshold
        ]
        if fields["sample_mode"] != "bootstrap":
            for at in free:
                kept[n][at] = True
            continue
        for k in range(1, classes):
            many = max(4, int((label[n, 0] == k).sum() * fields["bg_multiple"]))
            order = sorted(free, key=lambda at: -x[n, k][at])
            for at in order[:many]:
                kept[n][at] = True
    weight = np.where(objects & fields.get("iou_weighted", False), label[:, 5], 1.0)
    if fields.get("pos_neg_weighted"):
        count = objects.sum() + kept.sum()
        sums = weight[objects].sum(), weight[kept].sum()
        share = 1 / (1 + fields.get("bg_multiple", 4))
        weight = np.where(
            objects, weight * share * count / sums[0], weight * (1 - share) * count / sums[1]
        )
    top, ds, db = loss_of(
        x[:, :classes],
        x[:, classes:],
        label,
        kept=kept | objects,
        weight=weight,
        boxed=objects,
        limits=bounds(2.5, 1.5),
        share=0.5,
        smooth=fields.get("bb_smooth", True),
        objectness=fields.get("objectness", False),
        ignore=fields.get("ignore_label"),
    )
    return top, np.concatenate([ds, db], 1)


def said(fields: dict[str, Any]) -> str:
    words = [
        f'{name}: "{value}"' if isinstance(value, str) else f"{name}: {str(value).lower()}"
        for name, value in fields.items()
        if name != "ignore_label"
    ]
    return " ".join(words)


def single(fields: dict[str, Any], classes: int, *, bottom: str = "x") -> str:
    ignored = fields.get("ignore_label")
    loss = "" if ignored is None else f"loss_param {{ ignore_label: {ignored} }}"
    return (
        f'layer {{ name: "L" type: "DetectionLoss" bottom: "{bottom}" bottom: "l" top: "y" '
        f"detection_loss_param {{ cls_num: {classes} lambda: 0.5 field_w: 16 field_h: 8 "
        f"field_whr: 2.5 field_xyr: 1.5 downsample_rate: 8 bg_threshold: 0.7 {said(fields)} }} "
        f"{REGRESSION} {loss} }}"
    )


@pytest.fixture
def one_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.FIELDS", FIELDS[:1])


@pytest.mark.usefixtures("one_field")
@pytest.mark.parametrize("fields", ONE)
def test_detection_loss(fields: dict[str, Any], tmp_path: Path) -> None:
    classes = 2 if "objectness" in fields else 3
    label = labels(2, 3)
    x = np.random.default_rng(1701).standard_normal((2, classes + 4, HEIGHT, WIDTH))
    top, gradient = one(fields, x, label, classes)
    check(single(fields, classes), {"x": x, "l": label}, top, {"x": gradient}, tmp_path)


@pytest.mark.usefixtures("one_field")
def test_detection_loss_trained(tmp_path: Path) -> None:
    fields = {"sample_mode": "bootstrap", "bg_multiple": 1}
    conv = """layer { name: "conv" type: "Convolution" bottom: "x" top: "conv" convolution_param {
      num_output: 7 kernel_size: 1 weight_filler { type: "gaussian" std: 0.3 } } }
    """
    batches = {
        "x": np.random.default_rng(7).standard_normal((2, 2, 3, HEIGHT, WIDTH)),
        "l": np.stack([labels(2, 3), labels(2, 3)[::-1]]),
    }

    def step(
        weights: Weights, batch: Batch, iteration: int
    ) -> tuple[torch.Tensor, dict[tuple[str, int], torch.Tensor]]:
        weight, bias = (blob.detach() for blob in weights["conv"])
        y = torch.einsum("oc,nchw->nohw", weight[:, :, 0, 0], batch["x"]) + bias[:, None, None]
        top, gradient = one(fields, y.numpy(), batch["l"].numpy(), 3)
        g = torch.from_numpy(gradient)
        dw = torch.einsum("nohw,nchw->oc", g, batch["x"])[..., None, None]
        # The loss that Caffe shows is the sum of both numbers.
        return torch.tensor(sum(top)).double(), {("conv", 0): dw, ("conv", 1): g.sum((0, 2, 3))}

    check_trained(conv + single(fields, 3, bottom="conv"), batches, step, tmp_path, rate=0.01)


# ---- DetectionGroupLoss -------------------------------------------------------------------------

GROUP: list[dict[str, Any]] = [
    {"bg_multiple": 9},
    {"bg_multiple": 9, "bbox_loss_type": "Euclidean_L2", "pos_neg_weighted": True},
    {"neg_mining_type": "bootstrap", "bg_multiple": 1, "pos_neg_weighted": True},
    {"neg_mining_type": "bootstrap", "bg_multiple": 1, "neg_ranking_type": "conf_prob"},
    {"neg_mining_type": "bootstrap", "bg_multiple": 0, "min_num_neg": 3, "ignore_label": 2},
    {"neg_mining_type": "bootstrap", "batch_size": 20, "bg_multiple": 1},
    {"neg_mining_type": "mixture", "bg_multiple": 9, "objectness": True},
    {"bg_multiple": 9, "field_whr": 2.5, "field_xyr": 1.5},
]


def group(fields: dict[str, Any], classes: int) -> str:
    ignored = fields.get("ignore_label")
    loss = "" if ignored is None else f"loss_param {{ ignore_label: {ignored} }}"
    sizes = " ".join(f"field_w: {width} field_h: {height}" for width, height in FIELDS)
    return (
        'layer { name: "L" type: "DetectionGroupLoss" bottom: "s" bottom: "b" bottom: "l" '
        f'top: "y" detection_group_loss_param {{ cls_num: {classes} lambda: 0.5 {sizes} stride: 8 '
        f"bg_threshold: 0.7 {said(fields)} }} {REGRESSION} {loss} }}"
    )


@pytest.mark.parametrize("fields", GROUP)
def test_detection_group_loss(fields: dict[str, Any], tmp_path: Path) -> None:
    classes, threshold = (2 if "objectness" in fields else 3), float(np.float32(0.7))
    label = labels(4, 3)
    random = np.random.default_rng(1701)
    scores = random.standard_normal((4, classes, HEIGHT, WIDTH))
    shifts = random.standard_normal((4, 4, HEIGHT, WIDTH))
    objects = label[:, 0] > 0
    kept = objects.copy()
    for n in range(2):
        places = [(2 * n + g, *at) for g in range(2) for at in np.ndindex(HEIGHT, WIDTH)]
        free = [
            (g, row, column)
            for g, row, column in places
            if label[g, 0, row, column] == 0 and label[g, 5, row, column] < threshold
        ]
        own = objects[2 * n : 2 * n + 2].sum()
        many = max(own * fields["bg_multiple"], fields.get("min_num_neg", 5))
        if "batch_size" in fields:
            assert own <= 10
            many = 20 - own

        def rank(at: tuple[int, int, int]) -> float:
            raw = [exp(v) for v in scores[at[0], :, at[1], at[2]]]
            return raw[0] / sum(raw)

        for at in sorted(free, key=rank)[:many]:
            kept[at] = True
        assert fields.get("neg_mining_type") == "bootstrap" or many >= len(free)
    weight = np.ones_like(label[:, 0])
    if fields.get("pos_neg_weighted"):
        share, count = 1 / (1 + fields["bg_multiple"]), kept.sum()
        weight = np.where(
            objects, share * count / objects.sum(), (1 - share) * count / (kept & ~objects).sum()
        )
    top, ds, db = loss_of(
        scores,
        shifts,
        label,
        kept=kept,
        weight=weight,
        boxed=objects,
        limits=bounds(2.5, 1.5) if "field_whr" in fields else None,
        share=0.5,
        smooth="bbox_loss_type" not in fields,
        objectness=fields.get("objectness", False),
        ignore=fields.get("ignore_label"),
    )
    inputs = {"s": scores, "b": shifts, "l": label}
    check(group(fields, classes), inputs, top, {"s": ds, "b": db}, tmp_path)


@pytest.mark.parametrize("mode", ["random", "mixture"])
def test_what_is_drawn(mode: str, tmp_path: Path) -> None:
    """Of 24 places 8 are objects: a batch of 6, of which 3 are, has 3 others, 2 of them hard."""
    label = np.zeros((2, 6, HEIGHT, WIDTH))
    label[0, 0, :2] = 1
    scores = np.zeros((2, 2, HEIGHT, WIDTH))
    scores[:, 1] = np.arange(24.0).reshape(2, HEIGHT, WIDTH) / 8
    fields = {"neg_mining_type": mode, "batch_size": 6, "bg_multiple": 1}
    inputs = {"s": scores, "b": np.zeros((2, 4, HEIGHT, WIDTH)), "l": label}
    net = restated.load(group(fields, 2), inputs, tmp_path)
    seen = set()
    for seed in range(4):
        torch.manual_seed(seed)
        given = {name: torch.from_numpy(array) for name, array in inputs.items()}
        given["s"].requires_grad_()
        net.blobs(given)["y"].sum().backward()
        learned = (given["s"].grad[:, 0] != 0).flatten().tolist()
        seen.add(tuple(learned))
        assert (sum(learned[:8]), sum(learned[8:])) == (3, 3)
        if mode == "mixture":
            assert learned[22:] == [True, True]
    assert len(seen) > 1


ERRORS = [
    ({"field_w": 3}, "2 field_h and 3 field_w, wants one each"),
    ({"neg_mining_type": "none"}, "neg_mining_type 'none' is none of random"),
    ({"bbox_loss_type": "L3"}, "bbox_loss_type 'L3' is none of Smooth_L1"),
    ({"batch_size": 0}, "batch_size is 0, wants 1 or more"),
    ({"objectness": True}, "objectness wants 2 classes, got 3"),
]


@pytest.mark.parametrize(("fields", "message"), ERRORS)
def test_errors(fields: dict[str, Any], message: str, tmp_path: Path) -> None:
    inputs = {"s": np.zeros((2, 3, 3, 4)), "b": np.zeros((2, 4, 3, 4)), "l": np.zeros((2, 6, 3, 4))}
    with pytest.raises(CaffeError, match=message):
        restated.load(group(fields, 3), inputs, tmp_path)
    with pytest.raises(CaffeError, match="wants as many of 6 channels"):
        restated.load(group({}, 3), inputs | {"l": np.zeros((2, 5, 3, 4))}, tmp_path)
    net = restated.load(group({}, 3), inputs, tmp_path)
    with pytest.raises(CaffeError, match="it has no ONNX form"):
        converter.export_onnx(net, tmp_path / "net.onnx", with_losses=True, dynamic=())
