"""TensorFlow's padding, which chuanqi305's `tf_pad` gives a convolution in place of `pad`."""

from __future__ import annotations

from collections.abc import Sequence

from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError

from .window import Window


def same_places(window: Window, spatial: Sequence[int]) -> Shape:
    """Return a convolution's sizes with SAME: each axis divided by the stride, rounded up."""
    return tuple(-(-size // stride) for size, stride in zip(spatial, window.stride, strict=True))


def same_pads(window: Window, spatial: Sequence[int]) -> tuple[Shape, Shape]:
    """Return the zeros that SAME puts before and behind each axis; an odd one goes behind.

    Raises UnsupportedError for dilated kernels, and where fewer than no zeros are asked for.
    """
    if max(window.dilation, default=1) > 1:
        raise UnsupportedError("tf_pad SAME leaves dilation out of account, wants dilation 1")
    totals = [
        (places - 1) * stride + kernel - size
        for places, stride, kernel, size in zip(
            same_places(window, spatial), window.stride, window.kernel, spatial, strict=True
        )
    ]
    if min(totals, default=0) < 0:
        raise UnsupportedError(
            f"tf_pad SAME of kernel {window.kernel} and stride {window.stride} on {tuple(spatial)} "
            "asks for fewer than no zeros, what the fork does then is not known"
        )
    before = tuple(total // 2 for total in totals)
    return before, tuple(total - least for total, least in zip(totals, before, strict=True))
