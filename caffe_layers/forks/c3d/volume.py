"""What C3D's layers share: windows over a volume, whose length has fields of its own."""

from __future__ import annotations

from typing import Any

from caffe_layers.base.checks import require
from caffe_layers.base.message import fork_field
from caffe_layers.base.shape import Shape

FIELDS = (
    ("kernel_size", "kernel_depth", 0),
    ("stride", "temporal_stride", 1),
    ("pad", "temporal_pad", 0),
)
"""A field of height and width, that of the length, and the default of both."""


def volume_window(param: Any) -> dict[str, Shape]:
    """Read kernel, stride and padding along length, height and width: `make_window`'s arguments.

    A message may lack the padding of the length, which is then 0 (pooling).

    Raises ShapeError for a kernel that is not given along all three.
    """
    window: dict[str, Shape] = {}
    for plane, length, default in FIELDS:
        across = _one(param, plane, default)
        window[plane] = (_one(param, length, default), across, across)
    kernel = window["kernel_size"]
    require(min(kernel) > 0, f"the kernel is {kernel}, wants kernel_depth and kernel_size")
    return window


def _one(param: Any, name: str, default: int) -> int:
    """Return a field's number; a list's, as BVLC's message has it, if it has one."""
    value = fork_field(param, name, default)
    if isinstance(value, int):
        return value
    require(len(value) < 2, f"{name} has {len(value)} numbers, wants one, of height and width")
    return int(value[0]) if value else default


def require_volume(x: Shape) -> None:
    """Raise ShapeError for a bottom that is no N x C x L x H x W."""
    require(len(x) == 5, f"bottom {x} has {len(x)} axes, wants 5: N x C x L x H x W")
