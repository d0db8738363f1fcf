"""Windows that slide over spatial axes: the parameters and sizes of Convolution's family."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any, NamedTuple

import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.checks import canonical_axis, require
from caffe_layers.base.message import fork_field
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


class Window(NamedTuple):
    """Kernel, stride, padding and dilation, one number for each spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    pad: tuple[int, ...]
    dilation: tuple[int, ...]

    @property
    def extent(self) -> tuple[int, ...]:
        """How many values the dilated kernel spans along each axis."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True))

    def convolved(self, spatial: Sequence[int]) -> Shape:
        """Return the sizes after a convolution: C++'s division, which truncates toward 0."""
        return tuple(
            int((size + 2 * pad - extent) / stride) + 1
            for size, extent, stride, pad in zip(
                spatial, self.extent, self.stride, self.pad, strict=True
            )
        )

    def deconvolved(self, spatial: Sequence[int]) -> Shape:
        """Return the sizes after a deconvolution."""
        return tuple(
            stride * (size - 1) + extent - 2 * pad
            for size, extent, stride, pad in zip(
                spatial, self.extent, self.stride, self.pad, strict=True
            )
        )

    def missing(self, spatial: Sequence[int]) -> Shape:
        """Return how far each axis is too short for one window: a convolution reads zeros there."""
        return tuple(
            max(extent - 2 * pad - size, 0)
            for size, extent, pad in zip(spatial, self.extent, self.pad, strict=True)
        )

    def details(self, group: int = 1) -> list[str]:
        """Return what a picture says of it, with its layer's group: 3x3, /2, g32, d2."""
        words = ["x".join(map(str, self.kernel))] if self.kernel else []
        for mark, sizes in (("/", self.stride), ("g", (group,)), ("d", self.dilation)):
            if any(size > 1 for size in sizes):
                words.append(mark + "x".join(map(str, sizes if len(set(sizes)) > 1 else sizes[:1])))
        return words


Sizes = int | Sequence[int]
"""One number for every spatial axis, or one for each."""


def make_window(
    kernel_size: Sizes, stride: Sizes = 1, pad: Sizes = 0, dilation: Sizes = 1
) -> Window:
    """Return a window with the kernel's number of axes; a lone kernel size stands for two axes."""
    kernel = (kernel_size,) * 2 if isinstance(kernel_size, int) else tuple(kernel_size)

    def each(name: str, sizes: Sizes) -> tuple[int, ...]:
        full = (sizes,) * len(kernel) if isinstance(sizes, int) else tuple(sizes)
        require(len(full) == len(kernel), f"{name} {full} wants one number for each of {kernel}")
        return full

    window = Window(kernel, each("stride", stride), each("pad", pad), each("dilation", dilation))
    for name, numbers in (
        ("kernel_size", kernel),
        ("stride", window.stride),
        ("dilation", window.dilation),
    ):
        # Not by `min` with a default, which torch.compile cannot trace for sizes that vary.
        require(all(number >= 1 for number in numbers), f"{name} {numbers} wants 1 or more")
    return window


def pad_spatial(
    x: Tensor, before: Sequence[int], after: Sequence[int], value: float = 0.0
) -> Tensor:
    """Pad the last axes of x, those of the sequences' length, with `value`."""
    if not any(before) and not any(after):
        return x
    pairs = zip(reversed(before), reversed(after), strict=True)
    return F.pad(x, tuple(chain.from_iterable(pairs)), value=value)


def patches(x: Tensor, window: Window) -> Tensor:
    """Return what a convolution's window sees at each of its places: N x C x kernel x places.

    x is N x C x ..., with any number of spatial axes; beyond them the window sees zeros.
    """
    axes = len(window.kernel)
    after = [p + more for p, more in zip(window.pad, window.missing(x.shape[2:]), strict=True)]
    x = pad_spatial(x, window.pad, after)
    for axis, (extent, stride, dilation) in enumerate(
        zip(window.extent, window.stride, window.dilation, strict=True)
    ):
        # unfold leaves the places in the axis' stead and puts what each sees at the end.
        x = x.unfold(2 + axis, extent, stride)[..., ::dilation]
    order = [0, 1, *range(2 + axes, 2 + 2 * axes), *range(2, 2 + axes)]
    return x.permute(order)


def read_window(param: Any, bottom: Shape) -> tuple[int, dict[str, Shape]]:
    """Read a ConvolutionParameter: the channel axis, and `make_window`'s arguments by name.

    The window is that over the axes after the channels'. Forks name the dilation otherwise
    (`hole`), give it by `_h` and `_w` too, take one number where BVLC takes several, or lack the
    axis.
    """
    axis = canonical_axis(fork_field(param, "axis", 1), len(bottom))
    axes = len(bottom) - axis - 1
    dilation = "hole" if "hole" in param.DESCRIPTOR.fields_by_name else "dilation"
    return axis, {
        "kernel_size": _sizes(param, "kernel_size", ("kernel_h", "kernel_w"), axes, None),
        "stride": _sizes(param, "stride", ("stride_h", "stride_w"), axes, 1),
        "pad": _sizes(param, "pad", ("pad_h", "pad_w"), axes, 0),
        "dilation": _sizes(param, dilation, (f"{dilation}_h", f"{dilation}_w"), axes, 1),
    }


def _sizes(
    param: Any, name: str, pair: tuple[str, ...], axes: int, default: int | None
) -> tuple[int, ...]:
    """Read one number for each axis from a list, or from its `_h` and `_w` form."""
    sizes = _numbers(param, name)
    if any(_numbers(param, field) for field in pair):
        both = " and ".join(pair)
        require(not sizes, f"{name} is given both as a list and as {both}")
        require(axes == 2, f"{both} want 2 spatial axes, got {axes}; use {name}")
        return tuple(getattr(param, field) for field in pair)
    if not sizes and default is not None:
        return (default,) * axes
    if len(sizes) not in (1, axes):
        raise ShapeError(f"{name} has {len(sizes)} numbers, wants 1 or one for each of {axes} axes")
    return sizes * axes if len(sizes) == 1 else sizes


def _numbers(param: Any, name: str) -> tuple[int, ...]:
    """Return what a field gives: nothing where it is absent, also from this fork's message."""
    value = fork_field(param, name, ())
    if not isinstance(value, int):
        return tuple(value)
    return (value,) if param.HasField(name) else ()
