"""Windows of shapes, one number an axis, of video-caffe."""

from __future__ import annotations

from typing import Any

from caffe_layers.base.checks import require
from caffe_layers.base.shape import Shape

UNREAD = ("kernel_size", "kernel_h", "kernel_w", "pad", "pad_h", "pad_w", "stride", "stride_h")
"""BVLC's fields of the window, which the fork's layers pass over."""


def shaped_window(param: Any, bottom: Shape) -> dict[str, Shape]:
    """Read kernel, stride and padding of every axis behind the channels': `make_window`'s.

    Raises ShapeError for a kernel that is not given, for other numbers of numbers, and for BVLC's
    fields, which the fork passes over.
    """
    given = {descriptor.name for descriptor, _ in param.ListFields()}
    for name in (*UNREAD, "stride_w"):
        require(name not in given, f"{name} is set, of which the layer reads nothing: kernel_shape")
    kernel = tuple(param.kernel_shape.dim)
    axes = len(bottom) - 2
    fits = len(kernel) == axes and axes > 0
    require(fits, f"kernel_shape {kernel} wants a number for each of {axes} axes of {bottom}")
    window: dict[str, Shape] = {"kernel_size": kernel}
    for name, field, none in (("stride", "stride_shape", 1), ("pad", "pad_shape", 0)):
        sizes = tuple(getattr(param, field).dim) if field in given else (none,) * axes
        require(len(sizes) == axes, f"{field} {sizes} wants as many numbers as kernel_shape")
        require(min(sizes) >= none, f"{field} {sizes} wants {none} or more")
        window[name] = sizes
    return window
