"""Values at the places of a larger map that a mask names, as unpooling layers put them."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_layers.base.op import Op


def last_placed(values: Tensor, index: Tensor, places: int) -> Tensor:
    """Return N x C x `places`: the values N x C x K at their index, 0 elsewhere.

    Of several for one place the last stays, and it alone has a gradient.
    """
    # Which of several is the last must not depend on the order of a scatter.
    order = torch.arange(values.shape[2], device=values.device).expand_as(index)
    last = order.new_full((*values.shape[:2], places), -1)
    last = last.scatter_reduce(2, index, order, "amax")
    return values.gather(2, last.clamp(min=0)).masked_fill(last < 0, 0)


def emit_placed(op: Op, values: str, index: str, lead: str, sizes: str) -> str:
    """Append what `last_placed` does, as maps of these `sizes`; `lead` are images and channels."""
    count = op.reduce("ReduceProd", sizes, (0,), keepdims=1)
    flat = op.Concat(lead, count, axis=0)
    empty = op.Expand(op.scalar(0), flat)
    filled = op.ScatterElements(empty, index, values, axis=2)
    whole = op.Concat(lead, sizes, axis=0)
    return op.Reshape(filled, whole)
