"""NormFace's losses of distances against Caffe's loops, forward and backward."""

from __future__ import annotations

from math import exp
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from prototxt import CaffeError
from tests.support import restated
from tests.support.opsets import OPSETS
from tests.support.recorded import assert_close

LABELS = np.array([2.0, 0.0, 3.0, 1.0, 0.0, 3.0])
CONTRASTIVE = [
    {},
    {"positive_margin": 0.25, "negative_margin": 1.5, "positive_weight": 2, "negative_weight": 3},
    {"positive_outlier_thresh": 0.75, "positive_margin": 0.125},
    {"exp_negative_weight": True, "negative_weight": 2},
    {"max_negative_only": True, "negative_margin": 1.5},
    {"max_negative_only": True, "exp_negative_weight": True, "positive_weight": 0.5},
    {"max_positive_only": True},
    {"positive_first": True, "positive_upper_bound": 0.75, "positive_outlier_thresh": 0.875},
    {"normalize_negative": 0.5},
    {"normalize_negative": 0.5, "exp_negative_weight": True, "max_negative_only": True},
    {"normalize_negative": 100},
    {
        "max_positive_only": True,
        "max_negative_only": True,
        "positive_first": True,
        "positive_upper_bound": 0.5,
    },
]


def text(kind: str, message: str, fields: dict[str, Any], *, bottoms: str = "xl") -> str:
    names = " ".join(f'bottom: "{name}"' for name in bottoms)
    said = " ".join(f"{name}: {str(value).lower()}" for name, value in fields.items())
    return (
        f'layer {{ name: "L" type: "{kind}" {names} top: "y" top: "z" '
        f"{message} {{ {said} }} loss_weight: 1 loss_weight: 0 }}"
    )


def distances() -> np.ndarray:
    return np.random.default_rng(1701).uniform(0, 2, (6, 5))


def contrastive(
    x: np.ndarray,
    labels: np.ndarray,
    *,
    positive_margin: float = 0.0,
    negative_margin: float = 1.0,
    positive_weight: float = 1.0,
    negative_weight: float = 1.0,
    normalize_negative: float | None = None,
    positive_outlier_thresh: float = 4.0,
    max_negative_only: bool = False,
    max_positive_only: bool = False,
    positive_first: bool = False,
    positive_upper_bound: float = 1.0,
    exp_negative_weight: bool = False,
) -> tuple[float, list[float], np.ndarray]:
    """Return the loss, the two means, and the gradient."""
    num, dim = x.shape
    terms, chosen, positive, negative = np.zeros_like(x), [0] * num, 0.0, 0.0
    least = 0
    for i in range(num):
        label = int(labels[i])
        for j in range(dim):
            if j == label:
                value = min(positive_outlier_thresh, max(0.0, x[i, j] - positive_margin))
                terms[i, j] = value * positive_weight
                positive += value
                if max_positive_only and terms[i, j] < terms[least, int(labels[least])]:
                    least = i
            elif x[i, j] < negative_margin:
                gap = negative_margin - x[i, j]
                value = exp(-x[i, j]) if exp_negative_weight else gap
                terms[i, j] = value * negative_weight
                negative += gap
                if terms[i, j] > terms[i, chosen[i]]:
                    chosen[i] = j
        if positive_first and x[i, label] > positive_upper_bound:
            terms[i, [j for j in range(dim) if j != label]] = 0
    for i, j in np.ndindex(num, dim):
        own = j == int(labels[i])
        if (own and max_positive_only and i != least) or (
            not own and max_negative_only and j != chosen[i]
        ):
            terms[i, j] = 0
    gradient, pushed = np.zeros_like(x), 0.0
    for i in range(num):
        label = int(labels[i])
        if positive_first and x[i, label] > positive_upper_bound:
            gradient[i, label] = positive_weight
            continue
        for j in range(dim):
            if j == label:
                inside = positive_margin < x[i, j] < positive_outlier_thresh
                if inside and not (max_positive_only and i != least):
                    gradient[i, j] = positive_weight
            elif x[i, j] < negative_margin and not (max_negative_only and j != chosen[i]):
                push = (exp(-x[i, j]) if exp_negative_weight else 1.0) * negative_weight
                gradient[i, j] = -push
                pushed += push
    if normalize_negative is not None:
        share = pushed / normalize_negative / num
        if share > positive_weight:
            for i, j in np.ndindex(num, dim):
                if j != int(labels[i]):
                    gradient[i, j] /= share
    means = [positive / num, negative / num / (dim - 1)]
    return np.abs(terms).sum() / num, means, gradient / num


def check_backward(
    layer: str, inputs: dict[str, np.ndarray], want: np.ndarray, folder: Path
) -> None:
    net = restated.load(layer, inputs, folder)
    given = {name: torch.from_numpy(array) for name, array in inputs.items()}
    given["x"].requires_grad_()
    blobs = net.blobs(given)
    (3 * blobs["y"]).backward()
    assert_close(given["x"].grad, 3 * want.reshape(inputs["x"].shape), "gradient")
    assert not blobs["z"].requires_grad


@pytest.mark.parametrize("fields", CONTRASTIVE)
def test_general_contrastive_loss(fields: dict[str, Any], tmp_path: Path) -> None:
    loss, means, gradient = contrastive(distances(), LABELS, **fields)
    inputs = {"x": distances().reshape(6, 5, 1), "l": LABELS}
    layer = text("GeneralContrastiveLoss", "general_contrastive_loss_param", fields)
    wants = {"y": np.array(loss), "z": np.array(means)}
    opsets = OPSETS if len(fields) > 2 else OPSETS[1:2]
    restated.check(layer, inputs, wants, tmp_path, opsets=opsets)
    check_backward(layer, inputs, gradient, tmp_path)


def test_it_looks_at_a_third_bottom(tmp_path: Path) -> None:
    seen = distances()[::-1].copy()
    loss, means, gradient = contrastive(seen, LABELS)
    layer = text("GeneralContrastiveLoss", "general_contrastive_loss_param", {}, bottoms="xls")
    inputs = {"x": distances(), "l": LABELS, "s": seen}
    restated.check(layer, inputs, {"y": np.array(loss), "z": np.array(means)}, tmp_path)
    check_backward(layer, inputs, gradient, tmp_path)


def test_the_mean_of_own_distances_moves_the_margin_of_the_others(tmp_path: Path) -> None:
    fields = {"add_intra_mae": True, "negative_margin": 0.5, "max_negative_margin": 0.0125}
    layer = text("GeneralContrastiveLoss", "general_contrastive_loss_param", fields)
    given = {"x": torch.from_numpy(distances()), "l": torch.from_numpy(LABELS)}
    inputs = {name: value.numpy() for name, value in given.items()}
    net = restated.load(layer, inputs, tmp_path, phase="TRAIN")
    kept, found = 0.0, []
    for _ in range(4):
        loss, means, _ = contrastive(distances(), LABELS, negative_margin=0.5 + kept)
        kept = min(0.99 * kept + 0.01 * means[0], float(np.float32(0.0125)))
        found.append(kept)
        blobs = net.blobs(given)
        assert_close(blobs["y"].detach(), np.array(loss), "loss")
        assert_close(blobs["z"], np.array([*means, kept]), "means")
    assert found[0] < found[1] < found[2] == found[3]
    loss, means, _ = contrastive(distances(), LABELS, negative_margin=0.5)
    wants = {"y": np.array(loss), "z": np.array([*means, found[0]])}
    restated.check(layer, inputs, wants, tmp_path)


TRIPLET = [
    {},
    {"margin": 0.5, "add_center_loss": False, "positive_weight": 2, "negative_weight": 3},
    {"hardest_only": True},
    {"hardest_only": True, "margin": 0.0625, "add_center_loss": False},
    {"positive_first": True, "positive_upper_bound": 0.75},
    {"positive_first": True, "positive_upper_bound": 0.75, "hardest_only": True, "margin": 1},
]


def triplet(
    x: np.ndarray,
    labels: np.ndarray,
    weights: np.ndarray | None = None,
    *,
    margin: float = float(np.float32(0.2)),
    add_center_loss: bool = True,
    hardest_only: bool = False,
    positive_first: bool = False,
    positive_upper_bound: float = 1.0,
    positive_weight: float = 1.0,
    negative_weight: float = 1.0,
) -> tuple[float, list[float], np.ndarray]:
    num, dim = x.shape
    terms, near, far = np.zeros_like(x), 0.0, 0.0
    gradient = np.zeros_like(x)
    for i in range(num):
        label = int(labels[i])
        own = x[i, label]
        near += own
        hardest = -1
        for j in range(dim):
            if j == label:
                continue
            far += x[i, j]
            terms[i, j] = max(0.0, own + margin - x[i, j]) * negative_weight
            if terms[i, j] > 0 and (hardest < 0 or terms[i, j] > terms[i, hardest]):
                hardest = j
        if hardest_only and hardest >= 0:
            terms[i, [j for j in range(dim) if j != hardest]] = 0
        if positive_first and own > positive_upper_bound:
            terms[i] = 0
        gradient[i] = terms[i]  # Caffe's buffer, which the loss was summed up in
        if positive_first and own > positive_upper_bound:
            gradient[i] = 0
            gradient[i, label] = positive_weight
        else:
            pushed = 0
            if hardest_only:
                if hardest >= 0 and x[i, hardest] != 0:
                    gradient[i, hardest] = -negative_weight
                    pushed = 1
            else:
                for j in range(dim):
                    if j != label:
                        counts = own + margin > x[i, j]
                        gradient[i, j] = -negative_weight if counts else 0
                        pushed += counts
            if add_center_loss or pushed:
                gradient[i, label] = positive_weight
        if weights is not None:
            gradient[i] *= weights[i]
    return terms.sum() / num, [near / num, far / num / (dim - 1)], gradient / num


@pytest.mark.parametrize("fields", TRIPLET)
@pytest.mark.parametrize("weighted", [False, True])
def test_general_triplet_loss(weighted: bool, fields: dict[str, Any], tmp_path: Path) -> None:
    x = distances()
    x[2, 1] = 0.0  # the hardest of its sample
    x[4] += 2
    x[4, 0] = 0.25  # no loss
    weights = np.array([0.5, 1, 2, 3, 0.25, 1]) if weighted else None
    loss, means, gradient = triplet(x, LABELS, weights, **fields)
    layer = text(
        "GeneralTripletLoss",
        "general_triplet_loss_param",
        fields,
        bottoms="xlw" if weighted else "xl",
    )
    inputs = {"x": x, "l": LABELS} | ({"w": weights} if weights is not None else {})
    wants = {"y": np.array(loss), "z": np.array(means)}
    opsets = OPSETS if len(fields) > 2 and not weighted else OPSETS[1:2]
    restated.check(layer, inputs, wants, tmp_path, opsets=opsets)
    check_backward(layer, inputs, gradient, tmp_path)


@pytest.mark.parametrize("name", ["Contrastive", "Triplet"])
def test_errors(name: str, tmp_path: Path) -> None:
    kind, message = f"General{name}Loss", f"general_{name.lower()}_loss_param"
    inputs = {"x": distances(), "l": LABELS}
    with pytest.raises(CaffeError, match="wants one a sample"):
        restated.load(text(kind, message, {}), inputs | {"l": LABELS[:4]}, tmp_path)
    with pytest.raises(CaffeError, match="has 1 distances each, wants 2 or more"):
        restated.load(text(kind, message, {}), inputs | {"x": np.zeros((6, 1))}, tmp_path)
    with pytest.raises(CaffeError, match="weights below 0"):
        restated.load(text(kind, message, {"negative_weight": -1}), inputs, tmp_path)
    net = restated.load(text(kind, message, {}), inputs, tmp_path)
    given = {"x": torch.from_numpy(distances()), "l": torch.full((6,), 5.0)}
    with pytest.raises(CaffeError, match="labels go from 5 to 5, wants 0 to 4"):
        net.blobs(given)
