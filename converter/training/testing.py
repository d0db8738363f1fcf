"""Testing a network: the means of its outputs over many batches.

Caffe: src/caffe/solver.cpp, Test; tools/caffe.cpp, test
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from converter.network.net import CaffeNet, Inputs
from converter.network.plan import Plan

from .average_precision import Detections, check_version

MOST_VALUES_SHOWN = 100
"""Outputs of more values are shown by their mean."""
NO_MEAN = "has no mean: it has another shape in every batch"


@dataclass
class Outputs:
    """Outputs of a network by name, flat, with the weights of those that are losses.

    `loss` is the weighted sum of all losses, None where there is none.
    """

    values: dict[str, list[float]] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    loss: float | None = None
    without_mean: tuple[str, ...] = ()
    """Outputs whose shape is not the same in every batch."""

    def lines(self) -> list[str]:
        """Return a line for each value: its name, and for losses what it adds to the loss."""
        lines = []
        for name, values in self.values.items():
            weight = self.weights.get(name)
            for value in values:
                more = f" (* {weight:g} = {weight * value:g} loss)" if weight else ""
                lines.append(f"{name} = {value:g}{more}")
        lines += [f"{name} {NO_MEAN}" for name in self.without_mean]
        return lines


def outputs_of(plan: Plan, values: Mapping[str, Tensor]) -> Outputs:
    """Return the outputs among the values of one pass."""
    weights = loss_weights(plan)
    shown = {blob: _shown(values[value]) for blob, value in _shown_outputs(plan).items()}
    return Outputs(shown, weights)


def loss_weights(plan: Plan) -> dict[str, float]:
    """Return the weights of the outputs that are losses."""
    weights = {
        top: weight
        for step in plan.steps
        for top, weight in zip(step.tops, step.loss_weights, strict=True)
        if weight
    }
    return {
        blob: weights[value] for blob, value in _shown_outputs(plan).items() if value in weights
    }


def _shown_outputs(plan: Plan) -> dict[str, str]:
    """Return the outputs with their values; what is silenced Caffe does not show."""
    return {} if plan.silenced else plan.outputs


@torch.no_grad()
def mean_outputs(
    net: CaffeNet,
    iterations: int,
    *,
    feed: Callable[[CaffeNet], Inputs] | None = None,
    seen: Callable[[int, Outputs], None] | None = None,
    stopped: Callable[[], bool] | None = None,
    ap_version: str | None = None,
) -> Outputs | None:
    """Return the mean of every output over so many batches; None if `stopped` came to say so.

    An output whose shape is not always the same has no mean, and is named.

    Args:
        net: the network.
        iterations: how many batches.
        feed: gives the inputs of each batch of a network that reads no data.
        seen: told each batch's number and outputs.
        stopped: asked before each batch whether to end.
        ap_version: the outputs are rows of DetectionEvaluate, and in place of a mean comes the mean
            average precision over all batches, averaged that way; ShapeError for other outputs.
    """
    if ap_version is not None:
        check_version(ap_version)
    sums: dict[str, Tensor] = {}
    varied: dict[str, None] = {}
    detected: dict[str, Detections] = defaultdict(Detections)
    total: Tensor | None = None
    weights: dict[str, float] = {}
    for batch in range(iterations):
        if stopped is not None and stopped():
            return None
        fed = net.feed(feed(net) if feed else None)
        plan = net.plan(fed)
        values = net.run(fed, plan, until_last_use=True)
        weights = loss_weights(plan)
        for blob, value in _shown_outputs(plan).items():
            got = values[value].double()
            if ap_version is not None:
                detected[blob].add(blob, got)
            elif blob in sums and sums[blob].shape != got.shape:
                varied[blob] = None
            else:
                sums[blob] = sums[blob] + got if blob in sums else got
        if any(weight for step in plan.steps for weight in step.loss_weights):
            loss = net.weighted_loss(plan, values).double()
            total = loss if total is None else total + loss
        if seen is not None:
            seen(batch, outputs_of(plan, values))
    shown = {
        blob: _shown(summed / iterations) for blob, summed in sums.items() if blob not in varied
    }
    if ap_version is not None:
        shown = {blob: [rows.mean(ap_version)] for blob, rows in detected.items()}
    mean_loss = None if total is None else float(total) / iterations
    return Outputs(shown, weights, mean_loss, tuple(varied))


def _shown(value: Tensor) -> list[float]:
    value = value.detach().double()
    if value.numel() > MOST_VALUES_SHOWN:
        value = value.mean()
    flat: list[float] = value.reshape(-1).tolist()
    return flat
