"""Caffe's diffs: the gradients that its backward pass leaves in every blob and parameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from .net import CaffeNet, Inputs


@dataclass(frozen=True)
class Diffs:
    """One forward and backward pass.

    `blobs` are the values; `diffs` the gradients by blob, that of a blob written in place being
    the gradient at its first version, which is what Caffe's diff memory holds; `params` the
    gradients of each layer's blobs. What Caffe does not propagate (data, labels, running
    statistics) is 0.
    """

    blobs: dict[str, Tensor]
    diffs: dict[str, Tensor]
    params: dict[str, list[Tensor]]


def backward(
    net: CaffeNet, inputs: Inputs | None = None, top_diffs: Mapping[str, Tensor] | None = None
) -> Diffs:
    """Run the network forward and backward.

    The gradient starts from the weighted losses, or from `top_diffs` (blob: gradient). Inputs get
    diffs only where the definition says `force_backward`, as in Caffe.
    """
    fed = net.feed(inputs)
    if net.force_backward:
        fed = {
            name: value.detach().requires_grad_() if value.is_floating_point() else value
            for name, value in fed.items()
        }
    plan = net.plan(fed)
    with torch.enable_grad():
        values = net.run(fed, plan, every_diff=True)
        if top_diffs is None:
            loss = net.weighted_loss(plan, values)
        else:
            loss = sum_of_products(net.blobs_of(plan, values), top_diffs)
    blobs = {name: value.detach() for name, value in net.blobs_of(plan, values).items()}
    first = _first_versions(net, values)
    stored = [blob for layer in net.layers.values() for blob in layer.stored_blobs]
    wanted = [*(values[name] for name in first.values()), *stored]
    grads = iter(_gradients(loss, wanted))
    # A blob has one memory, of its last shape: MVN in place adds axes.
    diffs = {blob: next(grads).reshape(blobs[blob].shape) for blob in first}
    params = {
        key: [next(grads).reshape(blob.shape) for blob in row] for key, row in net.params.items()
    }
    return Diffs(blobs, diffs, params)


def sum_of_products(values: Mapping[str, Tensor], diffs: Mapping[str, Tensor]) -> Tensor:
    """Return the scalar whose gradient at every blob is its diff."""
    terms = [(values[name] * diff).sum() for name, diff in diffs.items()]
    return torch.stack(terms).sum()


def _first_versions(net: CaffeNet, values: Mapping[str, Tensor]) -> dict[str, str]:
    """Map each blob to the value that it was first."""
    first: dict[str, str] = {}
    for step in net.steps:
        for blob, value in zip(step.blobs, step.tops, strict=True):
            if value in values:
                first.setdefault(blob, value)
    return first


def _gradients(loss: Tensor, wanted: list[Tensor]) -> list[Tensor]:
    asked = [value for value in wanted if value.requires_grad]
    grads: tuple[Tensor | None, ...] = ()
    if loss.requires_grad and asked:
        grads = torch.autograd.grad(loss, asked, allow_unused=True)
    got = iter(grads or (None,) * len(asked))
    result = []
    for value in wanted:
        grad = next(got) if value.requires_grad else None
        result.append(torch.zeros_like(value) if grad is None else grad.detach())
    return result
