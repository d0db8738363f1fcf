"""Three learning rates at a BatchNorm: its blobs are statistics, which nothing learns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from prototxt.net import Net, copied

BLOBS = 3


def freeze(net: Net) -> Net:
    """Set the multipliers of every BatchNorm that has exactly three `param` to 0."""
    if not any(learns(layer) for layer in net.layers):
        return net
    return replace(net, layers=[frozen(layer) if learns(layer) else layer for layer in net.layers])


def learns(layer: Any) -> bool:
    if layer.type != "BatchNorm" or len(layer.param) != BLOBS:
        return False
    return any(
        getattr(row, name) != 0  # 1 where it is not said
        for row in layer.param
        for name in ("lr_mult", "decay_mult")
    )


def frozen(layer: Any) -> Any:
    new = copied(layer)
    for row in new.param:
        row.lr_mult = row.decay_mult = 0
    return new
