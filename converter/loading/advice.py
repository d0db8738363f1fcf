"""What would let a network load that its inputs' given shapes do not fit."""

from __future__ import annotations

from collections.abc import Callable

from converter.network import global_pool
from converter.network.build import Draft
from converter.network.layers import Layers
from converter.network.origin import Loaded
from converter.network.steps import Step
from prototxt.errors import CaffeError, ShapeError, WeightError

Fill = Callable[[list[Step], Layers], Loaded]
"""Copies the weights into layers; raises WeightError where they do not fit."""


def advice(draft: Draft, fill: Fill, error: CaffeError) -> str:
    """Return what to do where a draft was not built, or its weights did not fit; "" if unknown."""
    if not draft.given or draft.global_pools or not isinstance(error, (ShapeError, WeightError)):
        return ""
    return _global_pools(draft, fill) or ("" if error.fix else _other_inputs(draft))


def _global_pools(draft: Draft, fill: Fill) -> str:
    """Advise pools that follow the inputs, where these fit so."""
    try:
        other = draft.with_global_pools()
        fill(other.steps, other.layers)
    except CaffeError:
        return ""
    return global_pool.advice(other.kernels)


def _other_inputs(draft: Draft) -> str:
    """Advise to give the shape of an input that still has the file's batch, where that may help."""
    if draft.step is None or draft.fails_by_file(draft.step):
        return ""
    batches = {shape[0] for shape in draft.given.values() if shape}
    for name, shape in draft.input_shapes.items():
        if name not in draft.given and shape and shape[0] not in batches:
            return f"{name!r} is still {shape}, as the file says: give its --input-shape too"
    return ""
