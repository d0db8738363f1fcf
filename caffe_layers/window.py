"""Windows that slide over spatial axes: the parameters and sizes of Convolution's family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from .checks import canonical_axis, require
from .layer import Shape


class Window(NamedTuple):
    """Kernel, stride, padding and dilation, one number for each spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[int, ...]
    dilation: tuple[int, ...]

    def convolved(self, spatial: Sequence[int]) -> Shape:
        """Return the sizes after a convolution: C++'s division, which truncates toward 0."""
        return tuple(
            int((size + 2 * pad - (dilation * (kernel - 1) + 1)) / stride) + 1
            for size, kernel, stride, pad, dilation in zip(spatial, *self, strict=True)
        )

    def deconvolved(self, spatial: Sequence[int]) -> Shape:
        """Return the sizes after a deconvolution."""
        return tuple(
            stride * (size - 1) + dilation * (kernel - 1) + 1 - 2 * pad
            for size, kernel, stride, pad, dilation in zip(spatial, *self, strict=True)
        )


def read_window(param: Any, bottom: Shape) -> tuple[int, Window]:
    """Read a ConvolutionParameter: the channel axis and the window over the axes after it."""
    axis = canonical_axis(param.axis, len(bottom))
    axes = len(bottom) - axis - 1
    kernel = _sizes(param, "kernel_size", ("kernel_h", "kernel_w"), axes, None)
    stride = _sizes(param, "stride", ("stride_h", "stride_w"), axes, 1)
    pad = _sizes(param, "pad", ("pad_h", "pad_w"), axes, 0)
    dilation = _sizes(param, "dilation", (), axes, 1)
    for name, sizes, least in (("kernel_size", kernel, 1), ("stride", stride, 1)):
        require(min(sizes, default=1) >= least, f"{name} {sizes} wants {least} or more")
    return axis, Window(kernel, stride, pad, dilation)


def _sizes(
    param: Any, name: str, pair: tuple[str, ...], axes: int, default: int | None
) -> tuple[int, ...]:
    """Read one number for each axis from a list, or from its `_h` and `_w` form."""
    sizes = tuple(getattr(param, name))
    if any(param.HasField(field) for field in pair):
        both = " and ".join(pair)
        require(not sizes, f"{name} is given both as a list and as {both}")
        require(axes == 2, f"{both} want 2 spatial axes, got {axes}; use {name}")
        return tuple(getattr(param, field) for field in pair)
    if not sizes and default is not None:
        return (default,) * axes
    fits = len(sizes) in (1, axes)
    require(fits, f"{name} has {len(sizes)} numbers, wants 1 or one for each of {axes} axes")
    return sizes * axes if len(sizes) == 1 else sizes
