"""Testing a network: the means of its outputs over many batches.

Caffe: src/caffe/solver.cpp, Test; tools/caffe.cpp, test
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from converter.network.net import CaffeNet, Inputs
from converter.network.plan import Plan
from prototxt.errors import ShapeError

MOST_VALUES_SHOWN = 100
"""Outputs of more values are shown by their mean."""


@dataclass
class Outputs:
    """Outputs of a network by name, flat, with the weights of those that are losses.

    `loss` is the weighted sum of all losses, None where there is none.
    """

    values: dict[str, list[float]] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    loss: float | None = None

    def lines(self) -> list[str]:
        """Return a line for each value: its name, and for losses what it adds to the loss."""
        lines = []
        for name, values in self.values.items():
            weight = self.weights.get(name)
            for value in values:
                more = f" (* {weight:g} = {weight * value:g} loss)" if weight else ""
                lines.append(f"{name} = {value:g}{more}")
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
) -> Outputs | None:
    """Return the mean of every output over so many batches; None if `stopped` came to say so.

    `feed` gives the inputs of each batch of a network that reads no data; `seen` is told each
    batch's outputs. Raises ShapeError where an output's shape is not always the same.
    """
    sums: dict[str, Tensor] = {}
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
            if blob in sums and sums[blob].shape != got.shape:
                before, now = tuple(sums[blob].shape), tuple(got.shape)
                raise ShapeError(f"output {blob!r} is {now}, and {before} before: it has no mean")
            sums[blob] = sums[blob] + got if blob in sums else got
        if any(weight for step in plan.steps for weight in step.loss_weights):
            loss = net.weighted_loss(plan, values).double()
            total = loss if total is None else total + loss
        if seen is not None:
            seen(batch, outputs_of(plan, values))
    shown = {blob: _shown(summed / iterations) for blob, summed in sums.items()}
    return Outputs(shown, weights, None if total is None else float(total) / iterations)


def _shown(value: Tensor) -> list[float]:
    value = value.detach().double()
    if value.numel() > MOST_VALUES_SHOWN:
        value = value.mean()
    flat: list[float] = value.reshape(-1).tolist()
    return flat
