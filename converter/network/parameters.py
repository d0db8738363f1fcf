"""A network's learnable blobs, and the groups of parameters that optimizers take."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from caffe_layers.base.number import float32

from .layers import Layers


class Learnable(NamedTuple):
    """One blob that Caffe's solvers count: its layer's name and number, and its multipliers."""

    layer: str
    number: int
    blob: Tensor
    lr_mult: float
    decay_mult: float


def learnable(layers: Layers) -> list[Learnable]:
    """Return every blob in the network's order, a shared one once, at its owner.

    Running statistics, whose learning rate is 0, are among them, as in Caffe: a solver's state
    holds a history of each.

    Caffe: src/caffe/net.cpp, AppendParam
    """
    return [
        Learnable(key, number, blob, layer.lr_mult(number), layer.decay_mult(number))
        for key, layer in layers.items()
        for number, blob in enumerate(layer.blobs)
        if not layer.shares_blob(layer.blob_names[number])
    ]


def parameter_groups(
    layers: Layers, lr: float | None = None, weight_decay: float = 0.0
) -> list[dict[str, Any]]:
    """Return the groups of blobs with equal multipliers; see `CaffeNet.parameter_groups`."""
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for each in learnable(layers):
        if lr is None or (each.lr_mult and each.blob.requires_grad):
            groups.setdefault((each.lr_mult, each.decay_mult), []).append(each.blob)
    if lr is None:
        return [
            {"params": blobs, "lr_mult": rate, "decay_mult": decay}
            for (rate, decay), blobs in groups.items()
        ]
    return [
        {
            "params": blobs,
            "lr": lr * float32(rate),
            "weight_decay": weight_decay * float32(decay),
        }
        for (rate, decay), blobs in groups.items()
    ]
