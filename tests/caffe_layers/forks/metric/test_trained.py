"""Trainings with losses of metric learning beside the published formulas, written out in torch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from tests.support.trained import Batch, Weights, check_trained

RNG = np.random.default_rng(1701)
COUNT, CLASSES = 8, 4
BATCHES = {
    "x": RNG.standard_normal((3, COUNT, 5)),
    "l": RNG.integers(0, CLASSES, (3, COUNT)).astype(float),
}
FC = """layer { name: "fc" type: "InnerProduct" bottom: "%s" top: "%s"
  param { name: "w" } param { name: "b" }
  inner_product_param { num_output: 4 weight_filler { type: "xavier" } } }
"""


def hidden(weights: Weights, x: Tensor) -> Tensor:
    weight, bias = weights["fc"]
    return x @ weight.t() + bias


def test_center_loss_beside_softmax(tmp_path: Path) -> None:
    """Of Wen et al.: the centres move by the mean of what they are off, the loss weighs 0.25."""
    text = (
        FC % ("x", "fc")
        + 'layer { name: "soft" type: "SoftmaxWithLoss" bottom: "fc" bottom: "l" top: "soft" }\n'
        + 'layer { name: "c" type: "CenterLoss" bottom: "fc" bottom: "l" top: "c" '
        + "loss_weight: 0.25 center_loss_param { num_output: 4 "
        + 'center_filler { type: "gaussian" } } }\n'
    )

    def step(
        weights: Weights, batch: Batch, iteration: int
    ) -> tuple[Tensor, dict[tuple[str, int], Tensor]]:
        f, centers = hidden(weights, batch["x"]), weights["c"][0].detach()
        moved = torch.zeros_like(centers)
        loss = f.new_zeros(())
        for label in range(CLASSES):
            mine = f[batch["l"] == label]
            loss = loss + 0.25 * (mine - centers[label]).square().sum() / 2 / COUNT
            moved[label] = (centers[label] - mine.detach()).sum(0) / (1 + len(mine))
        soft = [-row.log_softmax(0)[int(label)] for row, label in zip(f, batch["l"], strict=True)]
        return loss + torch.stack(soft).mean(), {("c", 0): moved}

    check_trained(text, BATCHES, step, tmp_path)


def test_focal_loss(tmp_path: Path) -> None:
    text = FC % ("x", "fc") + (
        'layer { name: "f" type: "FocalLoss" bottom: "fc" bottom: "l" top: "f" '
        "focal_loss_param { gamma: 2 alpha: 0.25 } }\n"
    )

    def step(weights: Weights, batch: Batch, iteration: int) -> Tensor:
        p = hidden(weights, batch["x"]).softmax(1)
        own = torch.stack([row[int(at)] for row, at in zip(p, batch["l"], strict=True)])
        return (-0.25 * (1 - own) ** 2 * own.log()).mean()

    check_trained(text, BATCHES, step, tmp_path)


def test_triplet_loss_of_shared_weights(tmp_path: Path) -> None:
    batches = {name: RNG.standard_normal((3, COUNT, 5)) for name in "apn"}
    text = "".join(
        f'layer {{ name: "f{name}" type: "InnerProduct" bottom: "{name}" top: "f{name}" '
        'param { name: "w" } inner_product_param { num_output: 4 bias_term: false '
        'weight_filler { type: "xavier" } } }\n'
        for name in "apn"
    )
    text += (
        'layer { name: "t" type: "TripletLoss" bottom: "fa" bottom: "fp" bottom: "fn" top: "t" '
        "triplet_loss_param { margin: 0.5 } }\n"
    )

    def step(weights: Weights, batch: Batch, iteration: int) -> Tensor:
        a, p, n = (batch[name] @ weights["fa"][0].t() for name in "apn")
        gaps = 0.5 + (a - p).square().sum(1) - (a - n).square().sum(1)
        return gaps.clamp(min=0).sum() / (2 * COUNT)

    check_trained(text, batches, step, tmp_path, rate=0.005)


def distances(kind: str, fields: str) -> str:
    return (
        FC % ("x", "fc")
        + 'layer { name: "d" type: "InnerDistance" bottom: "fc" top: "d" inner_distance_param { '
        + 'num_output: 4 normalize: true weight_filler { type: "gaussian" } } }\n'
        + f'layer {{ name: "y" type: "General{kind}Loss" bottom: "d" bottom: "l" top: "y" '
        + f"general_{kind.lower()}_loss_param {{ {fields} }} }}\n"
    )


def to_agents(weights: Weights, batch: Batch) -> tuple[Tensor, Tensor]:
    """Return the distances to unit agents, and these, whose gradient is the weight's."""
    held = weights["d"][0]
    with torch.no_grad():
        held /= (held.square().sum(1, keepdim=True) + 1e-6).sqrt()
    f = hidden(weights, batch["x"])
    return (f[:, None] - held).square().sum(2), held


def test_contrastive_loss_to_agents(tmp_path: Path) -> None:
    """Of NormFace: agents in the place of other samples."""

    def step(weights: Weights, batch: Batch, iteration: int) -> Tensor:
        d, _ = to_agents(weights, batch)
        own = torch.stack([row[int(at)] for row, at in zip(d, batch["l"], strict=True)])
        others = (1.5 - d).clamp(min=0).sum() - (1.5 - own).clamp(min=0).sum()
        near = (own - 0.25).clamp(min=0, max=4)
        near = torch.where(own < 4, near, near.detach())  # so far off are outliers
        return (near.sum() + 0.5 * others) / COUNT

    fields = "positive_margin: 0.25 negative_margin: 1.5 negative_weight: 0.5"
    check_trained(distances("Contrastive", fields), BATCHES, step, tmp_path, rate=0.01)


def test_triplet_loss_to_agents(tmp_path: Path) -> None:
    """Its gradient for the own distance is 1 whatever the number of agents that are too near."""

    def step(
        weights: Weights, batch: Batch, iteration: int
    ) -> tuple[Tensor, dict[tuple[str, int], Tensor]]:
        d, held = to_agents(weights, batch)
        value, through = d.new_zeros(()), d.new_zeros(())
        for row, label in zip(d, batch["l"].long(), strict=True):
            for at, other in enumerate(row):
                if at != label and row[label] + 0.5 > other:
                    value = value + (row[label] + 0.5 - other).detach()
                    through = through - other
            through = through + row[label]
        keys = [("fc", 0), ("fc", 1), ("d", 0)]
        found = torch.autograd.grad(through / COUNT, [*weights["fc"], held])
        return value / COUNT, dict(zip(keys, found, strict=True))

    check_trained(distances("Triplet", "margin: 0.5"), BATCHES, step, tmp_path, rate=0.01)


def test_hashnet(tmp_path: Path) -> None:
    """The scale of tanh grows with the passes; the gradient of the loss is twice the loss's."""
    batches = {
        "x": RNG.standard_normal((3, COUNT, 5)),
        "u": RNG.standard_normal((3, COUNT, 5)),
        "m": RNG.integers(0, 2, (3, COUNT, 3)).astype(float),
        "n": RNG.integers(0, 2, (3, COUNT, 3)).astype(float),
    }
    scales = "scale_tanh_param { init_scale: 1 step_size: 20 gamma: 0.25 power: 0.5 }"
    text = FC % ("x", "fx") + (FC % ("u", "fu")).replace('"fc"', '"fd"')
    for name in "xu":
        text += f'layer {{ name: "t{name}" type: "ScaleTanH" bottom: "f{name}" top: "t{name}" '
        text += f"{scales} }}\n"
    text += (
        'layer { name: "y" type: "PairwiseLoss" bottom: "tx" bottom: "m" bottom: "tu" bottom: "n" '
        'top: "y" pairwise_param { class_num: 2 } }\n'
    )

    def step(
        weights: Weights, batch: Batch, iteration: int
    ) -> tuple[Tensor, dict[tuple[str, int], Tensor]]:
        last = (iteration + 2) // 20 * 20
        scale = (1 + 0.25 * last) ** 0.5 if last else 1.0
        a, b = ((scale * hidden(weights, batch[name])).tanh() for name in "xu")
        total, count = a.new_zeros(()), 0
        for i, j in np.ndindex(COUNT, COUNT):
            common = int(batch["m"][i] @ batch["n"][j])
            if common >= 3:
                continue
            z = a[i] @ b[j]
            total = total + ((1 + z.exp()).log() - z if common else (1 + z.exp()).log()) * (
                2 if common else 1
            )
            count += 2 if common else 1
        loss = total / count
        found = torch.autograd.grad(2 * loss, weights["fc"])
        return loss, {("fc", at): gradient for at, gradient in enumerate(found)}

    check_trained(text, batches, step, tmp_path)
