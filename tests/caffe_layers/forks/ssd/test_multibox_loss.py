"""MultiBoxLoss against its rule as plain loops: matching, mining, both losses, gradients."""

from __future__ import annotations

from math import exp, log, log1p
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import caffe_layers
from prototxt import CaffeError, ShapeError, UnsupportedError
from tests.support.restated import check, load
from tests.support.ssd_boxes import CODE_TYPES, Box, area, decode, encode, grid, iou

RNG = np.random.default_rng(1701)
PRIORS, CLASSES, IMAGES = 24, 4, 3
FLT_MIN = float(np.finfo(np.float32).tiny)
FIELDS: dict[str, Any] = {
    "loc_loss_type": "SMOOTH_L1",
    "conf_loss_type": "SOFTMAX",
    "loc_weight": 1.0,
    "num_classes": CLASSES,
    "share_location": True,
    "match_type": "PER_PREDICTION",
    "overlap_threshold": 0.5,
    "use_prior_for_matching": True,
    "background_label_id": 0,
    "use_difficult_gt": True,
    "neg_pos_ratio": 3.0,
    "neg_overlap": 0.5,
    "code_type": "CORNER",
    "encode_variance_in_target": False,
    "map_object_to_agnostic": False,
    "ignore_cross_boundary_bbox": False,
    "bp_inside": False,
    "mining_type": "MAX_NEGATIVE",
    "sample_size": 64,
    "nms_threshold": 0.0,
    "top_k": -1,
    "use_prior_for_nms": False,
    "objectness_score": 0.01,
}
ONES = [1.0] * 4


def f32(value: float) -> float:
    return float(np.float32(value))


def crosses(box: Box) -> bool:
    return any(value < 0 or value > 1 for value in box)


def match(
    objects: list[tuple[int, Box]], boxes: list[Box], label: int | None, field: dict[str, Any]
) -> tuple[list[int], list[float]]:
    """Return each box' object, -1 for none and -2 for a box left out, and its best overlap."""
    found, best = [-1] * len(boxes), [0.0] * len(boxes)
    shares: dict[tuple[int, int], float] = {}
    for i, box in enumerate(boxes):
        if field["ignore_cross_boundary_bbox"] and crosses(box):
            found[i] = -2
            continue
        for g, (own, corners) in enumerate(objects):
            share = iou(box, corners)
            if label in (None, own) and share > 1e-6:
                shares[i, g] = share
                best[i] = max(best[i], share)
    waiting = {g for g, (own, _) in enumerate(objects) if label in (None, own)}
    while waiting:
        pairs = [(-s, i, g) for (i, g), s in shares.items() if found[i] == -1 and g in waiting]
        if not pairs:
            break
        _, i, g = min(pairs)
        found[i] = g
        waiting.remove(g)
    if field["match_type"] == "PER_PREDICTION":
        for i in range(len(boxes)):
            near = [(-s, g) for (j, g), s in shares.items() if j == i]
            near = [pair for pair in near if -pair[0] >= f32(field["overlap_threshold"])]
            if found[i] == -1 and near:
                found[i] = min(near)[1]
    return found, best


def score_loss(scores: list[float], label: int, field: dict[str, Any]) -> float:
    if field["conf_loss_type"] == "SOFTMAX":
        most = max(scores)
        total = sum(exp(s - most) for s in scores)
        return -log(max(exp(scores[label] - most) / total, FLT_MIN))
    return sum(max(s, 0) - s * (c == label) + log1p(exp(-abs(s))) for c, s in enumerate(scores))


def loc_loss(
    t: Box, prior: Box, variance: Box, corners: Box, field: dict[str, Any], seen: Box
) -> float:
    encoded = field["encode_variance_in_target"]
    want = encode(field["code_type"], prior, ONES if encoded else variance, corners)
    total = 0.0
    for k in range(4):
        d = (t[k] - want[k]) / (variance[k] if encoded else 1)
        if field["bp_inside"] and not 0 <= seen[k] <= 1:
            d = 0.0
        if field["loc_loss_type"] == "L2" or abs(d) < 1:
            total += d * d / 2
        else:
            total += abs(d) - 0.5
    return total


def spared(order: list[int], rivals: list[Any], field: dict[str, Any]) -> list[int]:
    """Return which boxes, given by falling loss, no better one suppresses."""
    kept: list[int] = []
    for p in order[: field["top_k"] if field["top_k"] >= 0 else None]:
        near = any(iou(rivals[p], rivals[q]) > f32(field["nms_threshold"]) for q in kept)
        if area(rivals[p]) >= 1e-5 and not near:
            kept.append(p)
    return kept


def multibox_loss(
    loc: np.ndarray,
    conf: np.ndarray,
    prior: np.ndarray,
    gt: np.ndarray,
    arm_conf: np.ndarray | None = None,
    arm_loc: np.ndarray | None = None,
    *,
    normalization: str = "VALID",
    propagate: tuple[bool, bool] = (True, True),
    refinedet: bool = False,
    focal: tuple[float, float] | None = None,
    **given: Any,
) -> np.ndarray:
    field = FIELDS | given
    classes, background = field["num_classes"], field["background_label_id"]
    shared, code = field["share_location"], field["code_type"]
    loc_classes = 1 if shared else classes
    plain = prior[0, 0].reshape(-1, 4).tolist()
    variances = prior[0, 1].reshape(-1, 4).tolist()
    scale = [ONES] * len(plain) if field["encode_variance_in_target"] else variances
    loc_total = conf_total = 0.0
    matches = 0
    for n in range(len(loc)):
        codes = loc[n].reshape(len(plain), loc_classes, 4).tolist()
        scores = conf[n].reshape(len(plain), classes).tolist()
        objects = []
        for row in gt[0, 0].tolist():
            label = int(row[1])
            if refinedet and classes == 2 and label >= 2:
                label = 1
            if int(row[0]) == n and (field["use_difficult_gt"] or not row[7]):
                objects.append((label, row[3:7]))
        priors = plain
        if arm_loc is not None:
            arm = arm_loc[n].reshape(-1, 4).tolist()
            priors = [decode(code, *both) for both in zip(plain, scale, arm, strict=True)]

        def decoded(c: int, of: list[Box], codes: Any = codes) -> list[Box]:
            own = [code_of[c] for code_of in codes]
            return [decode(code, *both) for both in zip(of, scale, own, strict=True)]

        found: dict[int, list[int]] = {}
        best: list[float] = []
        if objects:
            for c in range(loc_classes):
                if not shared and c == background:
                    continue
                label = None if shared or field["use_prior_for_matching"] else c
                boxes = priors if field["use_prior_for_matching"] else decoded(c, plain)
                found[c], best = match(objects, boxes, label, field)
                if not shared:
                    found[c] = [g if g > -1 and objects[g][0] == c else -1 for g in found[c]]

        def loc_of(
            c: int,
            p: int,
            of: list[Box],
            found: Any = found,
            objects: Any = objects,
            codes: Any = codes,
            decoded: Any = decoded,
        ) -> float:
            seen = of[p] if field["use_prior_for_matching"] else decoded(c, of)[p]
            corners = objects[found[c][p]][1]
            return loc_loss(codes[p][c], of[p], variances[p], corners, field, seen)

        negative = set()
        if field["mining_type"] != "NONE" and objects:
            own = found[0]
            hard = field["mining_type"] == "HARD_EXAMPLE"
            losses = []
            for p in range(len(plain)):
                label = objects[own[p]][0] if own[p] > -1 else background
                losses.append(score_loss(scores[p], label, field))
                if hard and own[p] > -1:
                    losses[p] += loc_of(0, p, plain)
            eligible = [
                p
                for p in range(len(plain))
                if (hard or (own[p] == -1 and best[p] < f32(field["neg_overlap"])))
                and (arm_conf is None or arm_conf[n, 2 * p + 1] >= f32(field["objectness_score"]))
            ]
            if field["nms_threshold"]:
                rivals = plain if field["use_prior_for_nms"] else decoded(0, plain)
                eligible = spared(sorted(eligible, key=lambda p: -losses[p]), rivals, field)
            positives = sum(g > -1 for g in own)
            most = int(np.float32(positives) * np.float32(field["neg_pos_ratio"]))
            count = field["sample_size"] if hard else most
            chosen = set(sorted(eligible, key=lambda p: -losses[p])[:count])
            negative = {p for p in chosen if own[p] == -1}
            if hard:
                found[0] = [-1 if g > -1 and p not in chosen else g for p, g in enumerate(own)]
        for p in range(len(plain)):
            labels = [objects[own[p]][0] for own in found.values() if own[p] > -1]
            matches += len(labels)
            loc_total += sum(loc_of(c, p, priors) for c, own in found.items() if own[p] > -1)
            if labels or p in negative or field["mining_type"] == "NONE":
                label = labels[-1] if labels else background
                if labels and field["map_object_to_agnostic"]:
                    label = background + 1
                term = score_loss(scores[p], label, field)
                if focal and field["conf_loss_type"] == "SOFTMAX":
                    term *= f32(focal[0]) * (1 - exp(-term)) ** f32(focal[1])
                conf_total += term
    count = {
        "VALID": matches,
        "FULL": len(loc) * len(plain),
        "BATCH_SIZE": len(loc),
        "NONE": 1,
    }[normalization]
    loc_total, conf_total = loc_total * propagate[0], conf_total * propagate[1]
    return np.array((f32(field["loc_weight"]) * loc_total + conf_total) / max(count, 1))


def exact(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32).astype(float)


def objects(images: int = IMAGES) -> np.ndarray:
    """Return the blob of some objects: none in the last image, two difficult, one of no image."""
    rows = []
    for image, label, difficult in [
        (0, 1, 0),
        (0, 2, 0),
        (0, 2, 1),
        (-1, 0, 0),
        (1, 3, 0),
        (1, 1, 1),
        (1, 3, 0),
        (0, 1, 0),
    ]:
        low, size = RNG.uniform(0, 0.5, 2), RNG.uniform(0.2, 0.5, 2)
        corners = [*low, *(low + size)] if image >= 0 else [-1] * 4
        rows.append([image, label, 0, *corners, difficult])
    return exact(np.array(rows)[None, None])


def bottoms(loc_classes: int = 1, classes: int = CLASSES) -> dict[str, np.ndarray]:
    return {
        "loc": exact(RNG.normal(0, 1.5, (IMAGES, PRIORS * loc_classes * 4))),
        "conf": exact(RNG.normal(0, 2, (IMAGES, PRIORS * classes))),
        "prior": grid(RNG, PRIORS),
        "gt": objects(),
    }


def text(
    bottoms: int = 4,
    *,
    normalization: str = "",
    propagate: tuple[bool, bool] | None = None,
    focal: tuple[float, float] | None = None,
    **given: Any,
) -> str:
    def word(value: Any) -> str:
        return str(value).lower() if isinstance(value, bool) else str(value)

    fields = {"num_classes": CLASSES} | given
    nms = [f"{k}: {fields.pop(k)}" for k in ("nms_threshold", "top_k") if k in fields]
    names = ["loc", "conf", "prior", "gt", "arm_conf", "arm_loc"][:bottoms]
    down = "".join(f"propagate_down: {word(row)} " for row in (*(propagate or ()), *(False, False)))
    kind, weighs = "MultiBoxLoss", ""
    if focal:
        kind = "MultiBoxFocalLoss"
        weighs = f"focal_loss_param {{ alpha: {focal[0]} gamma: {focal[1]} }}"
    return (
        f'layer {{ name: "L" type: "{kind}" top: "y" {weighs} '
        + " ".join(f'bottom: "{name}"' for name in names)
        + (f" {down}" if propagate else "")
        + (f" loss_param {{ normalization: {normalization} }}" if normalization else "")
        + f" multibox_loss_param {{ {' '.join(f'{k}: {word(v)}' for k, v in fields.items())} "
        + (f"nms_param {{ {' '.join(nms)} }} }} }}" if nms else "} }")
    )


ROWS: list[dict[str, Any]] = [
    {},
    {"loc_loss_type": "L2"},
    {"conf_loss_type": "LOGISTIC"},
    {"loc_weight": 0.3},
    *({"code_type": code} for code in CODE_TYPES),
    *({"code_type": code, "encode_variance_in_target": True} for code in CODE_TYPES),
    {"match_type": "BIPARTITE"},
    {"overlap_threshold": 0.2},
    {"overlap_threshold": 0.0},
    {"use_prior_for_matching": False, "code_type": "CENTER_SIZE"},
    {"background_label_id": 3, "gt": "no 3"},
    {"use_difficult_gt": False},
    {"neg_pos_ratio": 0.7},
    {"neg_pos_ratio": 100.0},
    {"neg_pos_ratio": 0.0},
    {"neg_overlap": 0.1},
    {"ignore_cross_boundary_bbox": True},
    {"ignore_cross_boundary_bbox": True, "mining_type": "NONE"},
    {"ignore_cross_boundary_bbox": True, "mining_type": "HARD_EXAMPLE", "sample_size": 12},
    {"bp_inside": True, "code_type": "CENTER_SIZE"},
    {"bp_inside": True, "use_prior_for_matching": False, "code_type": "CENTER_SIZE"},
    {"mining_type": "NONE"},
    {"mining_type": "HARD_EXAMPLE"},
    {"mining_type": "HARD_EXAMPLE", "sample_size": 7, "loc_loss_type": "L2"},
    {"mining_type": "HARD_EXAMPLE", "sample_size": 5, "conf_loss_type": "LOGISTIC"},
    {"mining_type": "NONE", "share_location": False},
    {
        "mining_type": "NONE",
        "share_location": False,
        "use_prior_for_matching": False,
        "code_type": "CENTER_SIZE",
        "overlap_threshold": 0.1,
    },
    {"mining_type": "NONE", "share_location": False, "background_label_id": 3, "gt": "no 3"},
    {"num_classes": 2, "map_object_to_agnostic": True, "mining_type": "NONE"},
    {"num_classes": 2, "map_object_to_agnostic": True, "gt": "of 1"},
    *({"normalization": kind} for kind in ("VALID", "FULL", "BATCH_SIZE", "NONE")),
    {"propagate": (False, True)},
    {"propagate": (True, False)},
    {"nms_threshold": 0.1, "top_k": -1, "neg_pos_ratio": 100.0, "code_type": "CENTER_SIZE"},
    {"nms_threshold": 0.3, "top_k": 9, "use_prior_for_nms": True},
    {
        "nms_threshold": 0.2,
        "top_k": 15,
        "mining_type": "HARD_EXAMPLE",
        "ignore_cross_boundary_bbox": True,
        "encode_variance_in_target": True,
        "code_type": "CORNER_SIZE",
        "sample_size": 8,
    },
    {"focal": (0.25, 2.0)},
    {"focal": (0.7, 1.3), "mining_type": "NONE"},
    {"focal": (0.7, 0.0), "mining_type": "HARD_EXAMPLE", "sample_size": 7},
    {"focal": (0.7, 3.0), "conf_loss_type": "LOGISTIC", "normalization": "FULL"},
    {"focal": (0.7, 3.0), "num_classes": 2, "map_object_to_agnostic": True, "gt": "of 1"},
    {"gt": "none"},
    {"gt": "none", "mining_type": "NONE"},
    {"gt": "none", "mining_type": "HARD_EXAMPLE"},
]


def arranged(row: dict[str, Any]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Return the bottoms that a row asks for, and its fields."""
    row = dict(row)
    kind = row.pop("gt", "")
    classes = row.get("num_classes", CLASSES)
    inputs = bottoms(1 if row.get("share_location", True) else classes, classes)
    labels = inputs["gt"][0, 0, :, 1]
    if kind == "no 3":
        inputs["gt"][0, 0, :, 1] = np.where(labels == 3, 0, labels)
    if kind == "of 1":
        labels[:] = 1
    if kind == "none":
        inputs["gt"] = np.full((1, 1, 1, 8), -1.0)
    return inputs, row


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_rule_and_gradients(row: dict[str, Any], tmp_path: Path) -> None:
    inputs, row = arranged(row)
    check(text(**row), inputs, {"y": multibox_loss(**inputs, **row)}, tmp_path, dynamic=())
    net = load(text(**row), inputs, tmp_path)
    leaves = {n: torch.from_numpy(a).requires_grad_() for n, a in inputs.items()}
    net.loss(leaves).backward()
    assert leaves["prior"].grad is None
    assert leaves["gt"].grad is None
    for name in ("loc", "conf"):
        got = leaves[name].grad
        moved = dict(inputs)
        for at in [tuple(RNG.integers(size) for size in inputs[name].shape) for _ in range(40)]:
            ends = []
            for step in (1e-6, -1e-6):
                moved[name] = inputs[name].copy()
                moved[name][at] += step
                ends.append(float(multibox_loss(**moved, **row)))
            want = (ends[0] - ends[1]) / 2e-6
            if name == "loc" and row.get("encode_variance_in_target"):
                want *= inputs["prior"][0, 1, at[1]]  # seen in Caffe: not divided by them
            own = 0.0 if got is None else float(got[at])
            assert abs(own - want) < 1e-6 * max(1, abs(want)), (name, at)


FIVE = [
    [0, 0, 0.25, 0.25],
    [0.5, 0.5, 1, 1],
    [0.5, 0.5, 1, 0.875],
    [0.5, 0.5, 0.75, 0.75],
    [0.25, 0, 0.25, 1],
]
MOVED = [[0] * 4, [0] * 4, [-1, -1, -1.5, -1.25], [0] * 4, [0] * 4]


def five(scores: list[float], loc: list[Any]) -> dict[str, np.ndarray]:
    """Return five boxes, of which the first one is matched."""
    return {
        "loc": np.array(loc, float).reshape(1, -1),
        "conf": np.array(scores)[None],
        "prior": np.stack([np.ravel(FIVE), np.full(20, 0.5)])[None],
        "gt": np.array([0, 1, 0, *FIVE[0], 0], float).reshape(1, 1, 1, 8),
    }


@pytest.mark.parametrize(
    ("nms", "want"),
    [
        ("", 7.776115721833266),
        ("nms_param { nms_threshold: 0.3 top_k: -1 }", 6.8020387376531595),
        ("nms_param { top_k: -1 } use_prior_for_nms: true", 4.675110726610187),
        ("nms_param { top_k: 2 } use_prior_for_nms: true", 3.3618490390919646),
        ("nms_param { }", 0.3132616875182228),  # top_k is 0 then
        (
            "mining_type: HARD_EXAMPLE sample_size: 2 "
            "nms_param { top_k: -1 } use_prior_for_nms: true",
            4.361849039091965,
        ),
    ],
)
def test_suppression_while_mining_seen_in_caffe(nms: str, want: float, tmp_path: Path) -> None:
    inputs = five([0, 1, 0, 3, 0, 2, 0, 1, 0, 0.5], MOVED)
    net = text(num_classes=2, neg_pos_ratio=4).replace(" } }", f" {nms} }} }}")
    check(net, inputs, {"y": np.array(want)}, tmp_path, dynamic=())


@pytest.mark.parametrize(
    ("row", "want", "diff"),
    [
        (
            {"mining_type": "NONE"},
            12.965397623570931,
            [0.62245933, -0.26894142, 0.26894142, 0.5, 0.88079708, 0.73105858],
        ),
        (
            {"mining_type": "NONE", "background_label_id": 2},
            5.465397623570932,
            [-1.37754067, -0.26894142, -1.73105858, -1.5, -1.11920292, -1.26894142],
        ),
        (
            {"background_label_id": 2, "neg_pos_ratio": 1},
            1.9202709148129435,
            [-1.37754067, -0.26894142, -1.73105858, 0, 0, 0],
        ),
    ],
    ids=str,
)
def test_targets_of_logistic_seen_in_caffe(
    row: dict[str, Any], want: float, diff: list[float], tmp_path: Path
) -> None:
    scores = [0.5, 1, -1, 0, 2, 1, -1, 0, 0.25, 1, 1, 0, 0, 0, 0]
    inputs = five(scores, [[0] * 4] * 5)
    net = text(num_classes=3, conf_loss_type="LOGISTIC", **row)
    check(net, inputs, {"y": np.array(want)}, tmp_path, dynamic=())
    leaves = {n: torch.from_numpy(a).requires_grad_() for n, a in inputs.items()}
    load(net, inputs, tmp_path).loss(leaves).backward()
    grads = leaves["conf"].grad
    assert grads is not None
    assert np.allclose(grads[0, :6].numpy(), diff, atol=1e-8)


def test_targets_of_logistic_of_every_image(tmp_path: Path) -> None:
    row = {"conf_loss_type": "LOGISTIC", "mining_type": "NONE", "share_location": False}
    inputs, row = arranged(row)
    found = load(text(**row), inputs, tmp_path).blobs(
        {name: torch.from_numpy(array) for name, array in inputs.items()}
    )
    soft = row | {"conf_loss_type": "SOFTMAX"}
    leaves = {n: torch.from_numpy(a).requires_grad_() for n, a in inputs.items()}
    net = load(text(**soft, normalization="NONE"), inputs, tmp_path)
    net.loss(leaves).backward()
    grads = leaves["conf"].grad
    assert grads is not None
    # Which label a box has is what softmax's gradient lowers.
    label = grads.reshape(IMAGES, PRIORS, CLASSES).argmin(-1).numpy()
    targets = np.zeros(IMAGES * PRIORS * CLASSES)
    for n, p in zip(*label.nonzero(), strict=True):
        targets[n * PRIORS + p * CLASSES + label[n, p]] = 1
    x = inputs["conf"].ravel()
    terms = np.maximum(x, 0) - x * targets + np.log1p(np.exp(-np.abs(x)))
    alone = {"propagate": (False, True)}
    want = terms.sum() / max((label > 0).sum(), 1)
    check(text(**row, **alone), inputs, {"y": np.array(want)}, tmp_path, dynamic=())
    assert float(found["y"]) > want


def test_first_of_equal_overlaps_is_matched(tmp_path: Path) -> None:
    inputs = bottoms()
    boxes = inputs["prior"][0, 0].reshape(-1, 4)
    boxes[4:8] = boxes[0:4]
    inputs["gt"][0, 0, 1, 3:7] = inputs["gt"][0, 0, 0, 3:7] = boxes[1]
    inputs["gt"][0, 0, :2, 0] = 0
    want = multibox_loss(**inputs)
    check(text(), inputs, {"y": want}, tmp_path, dynamic=())


def test_hopeless_scores_keep_their_gradient(tmp_path: Path) -> None:
    inputs = bottoms()
    inputs["conf"] *= 200
    check(text(), inputs, {"y": multibox_loss(**inputs)}, tmp_path, dynamic=())
    leaves = {n: torch.from_numpy(a).requires_grad_() for n, a in inputs.items()}
    load(text(), inputs, tmp_path).loss(leaves).backward()
    grads = leaves["conf"].grad
    assert grads is not None
    assert float(grads.abs().max()) > 0.01


def test_flat_prior_box_that_nothing_matches_is_harmless(tmp_path: Path) -> None:
    inputs = bottoms()
    inputs["prior"][0, 0, 8:12] = [0.9, 0.9, 0.9, 0.9]
    inputs["gt"][0, 0, :, 3:7] = np.minimum(inputs["gt"][0, 0, :, 3:7], 0.85)
    row = {"code_type": "CENTER_SIZE"}
    leaves = {n: torch.from_numpy(a).requires_grad_() for n, a in inputs.items()}
    load(text(**row), inputs, tmp_path).loss(leaves).backward()
    grads = leaves["loc"].grad
    assert grads is not None
    assert bool(grads.isfinite().all())


REFINED: list[dict[str, Any]] = [
    {"code_type": "CENTER_SIZE"},
    {"code_type": "CORNER", "encode_variance_in_target": True},
    {"code_type": "CENTER_SIZE", "use_prior_for_matching": False},
    {"code_type": "CENTER_SIZE", "bp_inside": True},
    {"code_type": "CENTER_SIZE", "mining_type": "HARD_EXAMPLE", "sample_size": 9},
    {
        "code_type": "CENTER_SIZE",
        "mining_type": "HARD_EXAMPLE",
        "sample_size": 6,
        "overlap_threshold": 0.1,
        "loc_loss_type": "L2",
    },
    {"code_type": "CENTER_SIZE", "mining_type": "NONE"},
    {"code_type": "CENTER_SIZE", "num_classes": 2},
]


@pytest.mark.parametrize("arms", [1, 2])
@pytest.mark.parametrize("row", REFINED, ids=str)
def test_refined(arms: int, row: dict[str, Any], tmp_path: Path) -> None:
    inputs, row = arranged(row)
    arm = {
        "arm_conf": exact(RNG.uniform(0, 1, (IMAGES, PRIORS * 2))),
        "arm_loc": exact(RNG.uniform(-0.4, 0.4, (IMAGES, PRIORS * 4))),
    }
    inputs |= dict(list(arm.items())[:arms])
    row["objectness_score"] = 0.3
    want = multibox_loss(**inputs, **row, refinedet=True)
    check(text(4 + arms, **row), inputs, {"y": want}, tmp_path, dynamic=())


def test_two_classes_are_read_by_dialect(tmp_path: Path) -> None:
    inputs, row = arranged({"num_classes": 2})
    tensors = {name: torch.from_numpy(array) for name, array in inputs.items()}
    with pytest.raises(ShapeError, match="labels go from 1 to 3, wants classes below 2") as caught:
        load(text(**row), inputs, tmp_path)(tensors)
    assert "--dialect refinedet" in str(caught.value)
    want = multibox_loss(**inputs, **row, refinedet=True)
    check(text(**row), inputs, {"y": want}, tmp_path, dynamic=(), dialect="refinedet")


def test_file_of_refinedet_is_read_so_throughout(tmp_path: Path) -> None:
    inputs, row = arranged({"num_classes": 2})
    arm = {"arm_conf": exact(RNG.uniform(0, 1, (IMAGES, PRIORS * 2)))}
    more = text(5, **row, objectness_score=0.2).replace('"L"', '"M"').replace('"y"', '"z"')
    want = multibox_loss(**inputs, **row, refinedet=True)
    check(text(**row) + more, inputs | arm, {"y": want}, tmp_path, dynamic=())


def test_by_hand() -> None:
    inputs = bottoms()
    layer = caffe_layers.MultiBoxLoss(num_classes=CLASSES, neg_pos_ratio=1.0)
    got = layer(*(torch.from_numpy(array) for array in inputs.values()))
    assert abs(float(got) - float(multibox_loss(**inputs, neg_pos_ratio=1.0))) < 1e-12


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"share_location": False}, "mining wants share_location"),
        ({"background_label_id": 4}, "background_label_id 4 is none of 4 classes"),
        ({"map_object_to_agnostic": True}, "map_object_to_agnostic wants 2 classes, got 4"),
        ({"mining_type": "HARD_EXAMPLE", "sample_size": 0}, "sample_size 0 wants 1 or more"),
        (
            {"num_classes": 2, "map_object_to_agnostic": True, "background_label_id": 1},
            "map_object_to_agnostic wants background_label_id 0, got 1",
        ),
        ({"do_neg_mining": False}, "do_neg_mining False contradicts mining_type MAX_NEGATIVE"),
    ],
    ids=str,
)
def test_refusals(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    inputs = bottoms(1 if row.get("share_location", True) else CLASSES)
    with pytest.raises(CaffeError, match=message):
        load(text(**row), inputs, tmp_path)


def test_suppression_of_refined_boxes_is_not_here(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="which refined boxes suppress each other"):
        load(text(num_classes=2, nms_threshold=0.3), bottoms(1, 2), tmp_path, dialect="refinedet")


def test_object_of_the_background_is_refused(tmp_path: Path) -> None:
    inputs = bottoms()
    inputs["gt"][0, 0, 0, 1] = 0
    net = load(text(), inputs, tmp_path)
    with pytest.raises(ShapeError, match="an object is of the background, 0"):
        net({name: torch.from_numpy(array) for name, array in inputs.items()})


def test_flat_object_is_refused(tmp_path: Path) -> None:
    inputs = bottoms()
    inputs["gt"][0, 0, 0, 3:7] = inputs["prior"][0, 0, :4]
    inputs["gt"][0, 0, 0, 5] = inputs["gt"][0, 0, 0, 3]
    row = {"code_type": "CENTER_SIZE", "mining_type": "NONE"}
    # A flat object overlaps nothing, and so is never encoded.
    check(text(**row), inputs, {"y": multibox_loss(**inputs, **row)}, tmp_path, dynamic=())
