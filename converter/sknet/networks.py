"""SKNet with our kernel for GPUs, and the released ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict

from typing_extensions import Unpack

from caffe_layers.kernels.selection import select

from .model import PlainSKNet, Weigh


class UnitOptions(TypedDict, total=False):
    """What an SKNet's units are and how many classes it tells apart: see `PlainSKNet`."""

    branches: int
    groups: int
    reduction: int
    attention: Sequence[int] | None
    width: int
    num_classes: int
    weigh: Weigh


class SKNetOptions(UnitOptions, total=False):
    """All that `PlainSKNet` takes."""

    layers: Sequence[int]


class SKNet(PlainSKNet):
    """The network of `PlainSKNet`, whose selections are one kernel on a GPU with Triton.

    Args:
        layers: the number of units in each stage.
        **options: `branches`, `groups`, `reduction`, `attention`, `width`, `num_classes` and
            `weigh`, as `PlainSKNet` says.
    """

    def __init__(
        self, layers: Sequence[int] = (3, 4, 6, 3), **options: Unpack[UnitOptions]
    ) -> None:
        given: UnitOptions = {"weigh": select, **options}
        super().__init__(layers, **given)


def sknet50(**options: Unpack[SKNetOptions]) -> SKNet:
    """Return SKNet-50.

    `options` are those of SKNet: `layers`, `branches`, `groups`, `reduction`, `attention`, `width`,
    `num_classes`, `weigh`.
    """
    given: SKNetOptions = {"layers": (3, 4, 6, 3), **options}
    return SKNet(**given)


def sknet101(**options: Unpack[SKNetOptions]) -> SKNet:
    """Return SKNet-101 as released: the attention of its second stage is narrower than SKNet-50's.

    `options` are those of SKNet: `layers`, `branches`, `groups`, `reduction`, `attention`, `width`,
    `num_classes`, `weigh`.
    """
    given: SKNetOptions = {"layers": (3, 4, 23, 3), "attention": (32, 16, 32, 64), **options}
    return SKNet(**given)
