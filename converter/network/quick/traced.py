"""What torch's compiler follows though values decide it."""

from __future__ import annotations

from collections.abc import Iterable

import torch

from caffe_layers import Layer

FOLLOWS_ROWS = torch.__version__ >= "2.10"
"""Whether it counts rows in a graph that has to be whole: of others it makes pieces there, each
layer by itself (pull request 163123 of pytorch/pytorch)."""


def has_followed_rows(layers: Iterable[type[Layer]]) -> bool:
    """Tell whether values decide how many rows tops of these layers have, and it can follow all."""
    free = [cls for cls in layers if cls.free_axis is not None]
    return FOLLOWS_ROWS and bool(free) and all(cls.is_traced_whole for cls in free)
