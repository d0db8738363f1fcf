"""A training of SSD's kind, by its definition's layers, beside the paper's formula in torch."""

from __future__ import annotations

from functools import cache, partial
from math import sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.support.trained import Batch, Weights, check_trained

CLASSES, IMAGES, SIZE = 3, 2, 16
MAPS = {"conv1": (4, 3.0, 6.0), "conv2": (2, 6.0, 11.0)}
"""Places along a side, and the least and largest side of a box, in pixels."""
VARIANCES = torch.tensor([0.1, 0.1, 0.2, 0.2]).double()

CONVOLUTION = """layer {{ name: "{name}" type: "Convolution" bottom: "{bottom}" top: "{name}"
  param {{ lr_mult: 1 decay_mult: 1 }} param {{ lr_mult: 1 decay_mult: 0 }}
  convolution_param {{ num_output: {count} kernel_size: 3 pad: 1 stride: {stride}
  weight_filler {{ type: "xavier" }} bias_filler {{ type: "constant" value: 0 }} }} }}
"""
HEAD = """layer {{ name: "{name}_perm" type: "Permute" bottom: "{name}" top: "{name}_perm"
  permute_param {{ order: 0 order: 2 order: 3 order: 1 }} }}
layer {{ name: "{name}_flat" type: "Flatten" bottom: "{name}_perm" top: "{name}_flat"
  flatten_param {{ axis: 1 }} }}
"""
PRIOR = """layer {{ name: "{name}_prior" type: "PriorBox" bottom: "{name}" bottom: "data"
  top: "{name}_prior" prior_box_param {{ min_size: {least} max_size: {most} clip: false
  variance: 0.1 variance: 0.1 variance: 0.2 variance: 0.2 offset: 0.5 }} }}
"""
LOSS = """layer { name: "mbox_loss" type: "MultiBoxLoss" bottom: "mbox_loc" bottom: "mbox_conf"
  bottom: "mbox_priorbox" bottom: "label" top: "mbox_loss" include { phase: TRAIN }
  propagate_down: true propagate_down: true propagate_down: false propagate_down: false
  loss_param { normalization: VALID }
  multibox_loss_param { loc_loss_type: SMOOTH_L1 conf_loss_type: SOFTMAX loc_weight: 1.0
    num_classes: 3 share_location: true match_type: PER_PREDICTION overlap_threshold: 0.5
    use_prior_for_matching: true background_label_id: 0 use_difficult_gt: true neg_pos_ratio: 3.0
    neg_overlap: 0.5 code_type: CENTER_SIZE ignore_cross_boundary_bbox: false
    mining_type: MAX_NEGATIVE } }
"""
FOCAL = "focal_loss_param { alpha: 0.25 gamma: 1.5 }"


def definition() -> str:
    text, bottom = "", "data"
    for name, (_, least, most) in MAPS.items():
        text += CONVOLUTION.format(name=name, bottom=bottom, count=6, stride=4 if not text else 2)
        text += f'layer {{ name: "{name}_relu" type: "ReLU" bottom: "{name}" top: "{name}" }}\n'
        for kind, count in (("loc", 8), ("conf", 2 * CLASSES)):
            head = f"{name}_mbox_{kind}"
            text += CONVOLUTION.format(name=head, bottom=name, count=count, stride=1)
            text += HEAD.format(name=head)
        text += PRIOR.format(name=name, least=least, most=most)
        bottom = name
    for top, end, axis in (
        ("mbox_loc", "_mbox_loc_flat", 1),
        ("mbox_conf", "_mbox_conf_flat", 1),
        ("mbox_priorbox", "_prior", 2),
    ):
        bottoms = " ".join(f'bottom: "{name}{end}"' for name in MAPS)
        text += f'layer {{ name: "{top}" type: "Concat" {bottoms} top: "{top}" '
        text += f"concat_param {{ axis: {axis} }} }}\n"
    return text + LOSS


def priors() -> list[tuple[float, float, float, float]]:
    """Return centres and sizes, in shares of the picture."""
    found = []
    for side, least, most in MAPS.values():
        for row, column in np.ndindex(side, side):
            for size in (least, sqrt(least * most)):
                found.append(((column + 0.5) / side, (row + 0.5) / side, size / SIZE, size / SIZE))
    return found


def overlap(a: tuple[float, ...], b: tuple[float, ...]) -> float:
    """Return intersection over union of boxes by their corners."""
    sides = [min(a[k + 2], b[k + 2]) - max(a[k], b[k]) for k in range(2)]
    if min(sides) <= 0:
        return 0.0
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (a, b)]
    return sides[0] * sides[1] / (sum(areas) - sides[0] * sides[1])


@cache
def matched(objects: tuple[tuple[float, ...], ...]) -> tuple[dict[int, int], list[float]]:
    """Return the object of each matched prior box, and the best overlap of every one."""
    corners = [(x - w / 2, y - h / 2, x + w / 2, y + h / 2) for x, y, w, h in priors()]
    shares = [[overlap(corner, one) for one in objects] for corner in corners]
    found: dict[int, int] = {}
    left = set(range(len(objects)))
    while left:
        share, prior, at = max(
            ((shares[p][g], -p, g) for p in range(len(corners)) for g in left if p not in found),
            key=lambda each: each[:2],
        )
        assert share > 0
        found[-prior] = at
        left.remove(at)
    for p, row in enumerate(shares):
        if p not in found and max(row) >= 0.5:
            found[p] = row.index(max(row))
    return found, [max(row) for row in shares]


def step(weights: Weights, batch: Batch, iteration: int, *, focal: bool = False) -> Tensor:
    x, locations, scores = batch["data"], [], []
    for name in MAPS:
        w, b = weights[name]
        x = F.conv2d(x, w, b, stride=4 if name == "conv1" else 2, padding=1).relu()
        for kind, found, size in (("loc", locations, 4), ("conf", scores, CLASSES)):
            w, b = weights[f"{name}_mbox_{kind}"]
            y = F.conv2d(x, w, b, padding=1).permute(0, 2, 3, 1)
            found.append(y.reshape(IMAGES, -1, size))
    location, score = torch.cat(locations, 1), torch.cat(scores, 1)
    boxes = torch.tensor(priors()).double()
    loss, count = location.new_zeros(()), 0
    for n in range(IMAGES):
        objects = [row for row in batch["label"].reshape(-1, 8) if int(row[0]) == n]
        pairs, best = matched(tuple(tuple(row[3:7].tolist()) for row in objects))
        plain = losses = -score[n].log_softmax(1)
        if focal:  # Lin et al.'s
            losses = 0.25 * (1 - (-plain).exp()) ** 1.5 * plain
        chosen, own = list(pairs), torch.stack([objects[at] for at in pairs.values()])
        corners, (centre, size) = own[:, 3:7], boxes[chosen].split(2, 1)
        sides = corners[:, 2:] - corners[:, :2]
        shift = ((corners[:, 2:] + corners[:, :2]) / 2 - centre) / size
        code = torch.cat([shift, (sides / size).log()], 1)
        d = (location[n, chosen] - code / VARIANCES).abs()
        loss = loss + torch.where(d < 1, d**2 / 2, d - 0.5).sum()
        loss = loss + losses[chosen, own[:, 1].long()].sum()
        # The hardest are those that the background's loss is the highest of.
        hard = plain[:, 0].tolist()
        free = [p for p in range(len(boxes)) if p not in pairs and best[p] < 0.5]
        free.sort(key=hard.__getitem__, reverse=True)
        loss = loss + losses[free[: 3 * len(pairs)], 0].sum()
        count += len(pairs)
    return loss / count


@pytest.mark.parametrize("focal", [False, True])
def test_ssd(focal: bool, tmp_path: Path) -> None:
    random = np.random.default_rng(1701)
    label = np.zeros((2, 1, 1, 4, 8))
    label[0, 0, 0] = [
        [0, 1, 0, 0.1, 0.1, 0.45, 0.5, 0],
        [0, 2, 0, 0.5, 0.4, 0.95, 0.9, 0],
        [1, 2, 0, 0.3, 0.05, 0.55, 0.3, 0],
        [1, 1, 1, 0.02, 0.6, 0.2, 0.8, 1],
    ]
    label[1, 0, 0] = label[0, 0, 0][::-1]
    label[1, 0, 0, :, 0] = [0, 0, 0, 1]
    batches = {"data": random.standard_normal((2, IMAGES, 3, SIZE, SIZE)), "label": label}
    text = definition()
    if focal:
        text = text.replace('type: "MultiBoxLoss"', 'type: "MultiBoxFocalLoss" ' + FOCAL)
    check_trained(text, batches, partial(step, focal=focal), tmp_path, rate=0.01)
