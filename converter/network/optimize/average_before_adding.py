"""The mean of a sum of maps, as the sum of their means: the sum itself is never written."""

from __future__ import annotations

import copy
from dataclasses import replace

from caffe_layers.common.eltwise import Eltwise
from caffe_layers.vision.pooling import Pooling

from .wiring import Wiring


def average_before_adding(wiring: Wiring) -> str:
    """Let a global average of a sum, as SK units take it of their branches, pool the terms."""
    moved = 0
    for step in wiring.steps:
        if not _is_average(wiring.layers.get(step.key)):
            continue
        pool = wiring.current(step)
        (value,) = pool.bottoms
        added = wiring.index.maker(value)
        if (
            added is None
            or not _is_sum(wiring.layers[added.key])
            or wiring.index.reader(value) != pool
        ):
            continue
        means = tuple(f"{value}/mean{index}" for index in range(len(added.bottoms)))
        for mean, term in zip(means, added.bottoms, strict=True):
            each = replace(pool, key=mean, bottoms=(term,), tops=(mean,), blobs=(mean,))
            wiring.insert(pool, each, copy.deepcopy(wiring.layers[pool.key]))
        total = replace(added, bottoms=means, tops=pool.tops, blobs=pool.blobs)
        wiring.put(pool, total, wiring.layers[added.key], [added])
        moved += 1
    return f"let {moved} sums be averaged before they are added" if moved else ""


def _is_average(layer: object) -> bool:
    return type(layer) is Pooling and layer.pool == "AVE" and layer.window is None


def _is_sum(layer: object) -> bool:
    return type(layer) is Eltwise and layer.operation == "SUM" and not layer.in_place
