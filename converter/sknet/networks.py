"""SKNet with our kernel for GPUs, and the released ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from caffe_layers.kernels.selection import select

from .model import PlainSKNet


class SKNet(PlainSKNet):
    """The network of `PlainSKNet`, whose selections are one kernel on a GPU with Triton."""

    def __init__(self, layers: Sequence[int] = (3, 4, 6, 3), **options: Any) -> None:
        super().__init__(layers, **{"weigh": select, **options})


def sknet50(**options: Any) -> SKNet:
    """Return SKNet-50; `options` are those of SKNet."""
    return SKNet(**{"layers": (3, 4, 6, 3), **options})


def sknet101(**options: Any) -> SKNet:
    """Return SKNet-101 as released: the attention of its second stage is narrower than SKNet-50's.

    `options` are those of SKNet.
    """
    return SKNet(**{"layers": (3, 4, 23, 3), "attention": (32, 16, 32, 64), **options})
