"""Trainings with margins beside the published formulas, written out in torch."""

from __future__ import annotations

from math import acos, cos, floor, log, pi, sin, sqrt
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.support.trained import Batch, Weights, check_trained

RNG = np.random.default_rng(1701)
COUNT, CLASSES = 8, 4
BATCHES = {
    "x": RNG.standard_normal((3, COUNT, 5)),
    "l": RNG.integers(0, CLASSES, (3, COUNT)).astype(float),
}
FC = """layer { name: "fc" type: "InnerProduct" bottom: "x" top: "fc"
  inner_product_param { num_output: 6 weight_filler { type: "xavier" } } }
"""
SOFTMAX = 'layer { name: "loss" type: "SoftmaxWithLoss" bottom: "%s" bottom: "l" top: "loss" }\n'


def layer(kind: str, message: str, bottom: str, top: str, *, label: bool = True) -> str:
    names = f'bottom: "{bottom}" ' + ('bottom: "l" ' if label else "") + f'top: "{top}"'
    return f'layer {{ name: "{top}" type: "{kind}" {names} {message} }}\n'


def hidden(weights: Weights, batch: Batch) -> Tensor:
    weight, bias = weights["fc"]
    return batch["x"] @ weight.t() + bias


def cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    return -torch.stack(
        [row.log_softmax(0)[int(at)] for row, at in zip(scores, labels, strict=True)]
    ).mean()


ANGLES = [
    ("LargeMarginInnerProduct", "DOUBLE", 2),
    ("LargeMarginInnerProduct", "TRIPLE", 3),
    ("LargeMarginInnerProduct", "QUADRUPLE", 4),
    ("MarginInnerProduct", "QUADRUPLE", 4),
]


@pytest.mark.parametrize(("kind", "name", "times"), ANGLES)
def test_multiplied_angles(kind: str, name: str, times: int, tmp_path: Path) -> None:
    """psi(t) = (-1)^k cos(m t) - 2 k, with k and the slope of the angle, not of polynomials."""
    large = kind.startswith("Large")
    message = "largemargin_inner_product_param" if large else "margin_inner_product_param"
    fields = 'base: 10 gamma: 0.1 power: 1 lambda_min: 0.5 weight_filler { type: "xavier" }'
    message = f"{message} {{ num_output: 4 type: {name} {fields} }}"
    text = FC + layer(kind, message, "fc", "ip") + SOFTMAX % "ip"

    @torch.no_grad()
    def step(
        weights: Weights, batch: Batch, iteration: int
    ) -> tuple[Tensor, dict[tuple[str, int], Tensor]]:
        share = max(10 / (1 + float(np.float32(0.1)) * (iteration + 1)), 0.5)
        w, labels = weights["ip"][0], batch["l"].long()
        if not large:
            w /= w.norm(dim=1, keepdim=True)
        x = hidden(weights, batch)
        scores = x @ w.t()
        slopes = []
        for n, label in enumerate(labels):
            long, wide = float(x[n].norm()), float(w[label].norm())
            size = long * wide + 1e-9 if large else long
            c = float(scores[n, label]) / size
            t = acos(c)
            k = floor(t * times / pi)
            psi = (-1) ** k * cos(times * t) - 2 * k
            a = (-1) ** k * times * sin(times * t) / sin(t)
            slopes.append((a, psi - c * a, long, wide + 1e-9))
            scores[n, label] = (size * psi + share * scores[n, label]) / (1 + share)
        loss = cross_entropy(scores, batch["l"])
        g = scores.softmax(1)
        for n, label in enumerate(labels):
            g[n, label] -= 1
        g /= COUNT
        dx, dw = g @ w, g.t() @ x
        for n, label in enumerate(labels):
            a, b, long, wide = slopes[n]
            down = g[n, label] / (1 + share)
            size = 1.0 if large else sqrt(a**2 + (b / long) ** 2)
            ratio = wide / long if large else 1 / long
            dx[n] += down * ((a * w[label] + b * ratio * x[n]) / size - w[label])
            if large:
                dw[label] += down * (a * x[n] + b / ratio * w[label] - x[n])
        return loss, {("fc", 0): dx.t() @ batch["x"], ("fc", 1): dx.sum(0), ("ip", 0): dw}

    check_trained(text, BATCHES, step, tmp_path)


COSINES = (
    layer("NormL2", "", "fc", "unit", label=False)
    + """layer { name: "ip" type: "InnerProduct" bottom: "unit" top: "ip"
  inner_product_param { num_output: 4 bias_term: false weight_filler { type: "xavier" } } }
"""
)


def unit_products(weights: Weights, batch: Batch) -> Tensor:
    x = hidden(weights, batch)
    unit = x / (x.square().sum(1, keepdim=True) + 1e-7).sqrt()
    return unit @ weights["ip"][0].t()


def scaled(bottom: str, by: float) -> str:
    return (
        f'layer {{ name: "s" type: "Power" bottom: "{bottom}" top: "s" '
        f"power_param {{ scale: {by} }} }}\n"
    )


def test_additive_margin_softmax(tmp_path: Path) -> None:
    message = "label_specific_add_param { bias: -0.25 }"
    text = FC + COSINES + layer("LabelSpecificAdd", message, "ip", "m") + scaled("m", 8)

    def step(weights: Weights, batch: Batch, iteration: int) -> Tensor:
        rows = [list(row) for row in unit_products(weights, batch)]
        for row, label in zip(rows, batch["l"].long(), strict=True):
            if row[label] > 0.25:
                row[label] = row[label] - 0.25
        return cross_entropy(8 * torch.stack([torch.stack(row) for row in rows]), batch["l"])

    check_trained(text + SOFTMAX % "s", BATCHES, step, tmp_path)


def arc(c: Tensor, m: float) -> Tensor:
    """Return the published margin: cos(t + m), or cos(t) - m sin(m) beyond pi."""
    return (c.acos() + m).cos() if c > cos(pi - m) else c - m * sin(m)


def test_arcface(tmp_path: Path) -> None:
    text = FC + COSINES + layer("CosinAddm", "cosin_add_m_param { m: 0.25 }", "ip", "m")

    def step(weights: Weights, batch: Batch, iteration: int) -> Tensor:
        rows = [list(row) for row in unit_products(weights, batch)]
        for row, label in zip(rows, batch["l"].long(), strict=True):
            row[label] = arc(row[label].clamp(-1, 1), 0.25)
        return cross_entropy(4 * torch.stack([torch.stack(row) for row in rows]), batch["l"])

    check_trained(text + scaled("m", 4) + SOFTMAX % "s", BATCHES, step, tmp_path, rate=0.005)


def test_adacos(tmp_path: Path) -> None:
    message = "adacos_add_m_scale_param { m: 0.25 num_classes: 4 }"
    text = FC + COSINES + layer("AdaCosAddmScale", message, "ip", "m") + SOFTMAX % "m"
    scale = sqrt(2) * log(3)

    def step(weights: Weights, batch: Batch, iteration: int) -> Tensor:
        nonlocal scale
        c = unit_products(weights, batch)
        rows, total = [list(row) for row in c], 0.0
        for row, label in zip(rows, batch["l"].long(), strict=True):
            total += 1 + sum(
                float((scale * v.detach()).exp()) for at, v in enumerate(row) if at != int(label)
            )
            row[label] = arc(row[label], 0.25)
        angle = c.detach().acos().float().double().mean()
        scale = log(total / COUNT) / cos(min(float(angle), pi / 4))
        return cross_entropy(scale * torch.stack([torch.stack(row) for row in rows]), batch["l"])

    check_trained(text, BATCHES, step, tmp_path, rate=0.005)
