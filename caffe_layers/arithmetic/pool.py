"""Windows of which the largest value or the mean is taken: Pooling's arithmetic, and SPP's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain
from math import prod
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.number import FLT_MAX
from caffe_layers.base.op import Op, Py
from caffe_layers.base.shape import Shape
from caffe_layers.base.tracing import may_look
from prototxt.errors import UnsupportedError

from .window import Window, pad_spatial


class Pool(NamedTuple):
    """A window over the axes of an image or a volume, and how the number of its places is rounded.

    `include_pad` says that a mean counts the zeros of the padding, `drops` that a last place which
    starts beyond the padding is left out.
    """

    window: Window
    ceil: bool = True
    include_pad: bool = True
    drops: bool = True

    def sizes(self, spatial: Sequence[int]) -> Shape:
        """Return the numbers of places for an image of this size."""
        return tuple(
            (size + pad + end - kernel) // stride + 1
            for size, kernel, stride, pad, end in zip(
                spatial, *self.window[:3], self.ends(), strict=True
            )
        )

    def ends(self) -> tuple[int, ...]:
        """Return how many values to add at each axis' end, so that rounding down is Caffe's way.

        Caffe rounds the number of places up, and with any padding drops a last one that starts
        beyond it. Both are the same as this much padding at the end, whatever the image's size.
        """
        if not self.ceil:
            return self.window.pad
        clips = self.drops and any(self.window.pad)
        return tuple(
            min(pad + stride - 1, kernel - 1) if clips else pad + stride - 1
            for kernel, stride, pad in zip(*self.window[:3], strict=True)
        )

    def used_ends(self, spatial: Sequence[int]) -> tuple[int, ...]:
        """Return how far the last window reaches over each axis' end: what `ends` needs to be."""
        return tuple(
            max((places - 1) * stride + kernel - pad - size, 0)
            for size, places, kernel, stride, pad in zip(
                spatial, self.sizes(spatial), *self.window[:3], strict=True
            )
        )

    @property
    def native(self) -> bool:
        """Tell whether torch's own padding and rounding place the windows alike for every size."""
        kernel, stride, pad, _ = self.window
        drops = self.drops or not any(pad)
        fits = drops and all(2 * p <= k for k, p in zip(kernel, pad, strict=True))
        inside = all(s <= k for k, s in zip(kernel, stride, strict=True))
        return fits and (inside or any(pad) or not self.ceil)


def lowest(dtype: torch.dtype) -> float:
    """Return the value that Caffe's maxima start from."""
    return max(-FLT_MAX, torch.finfo(dtype).min)


def without_nan(x: Tensor) -> Tensor:
    """Return x with what no maximum of Caffe's takes, NaN, made the least value."""
    return x.masked_fill(x.isnan(), -torch.inf)


def max_pool(x: Tensor, pool: Pool) -> tuple[Tensor, Tensor]:
    """Return the windows' maxima, and the place of each in its plane, -1 if it has none."""
    least = lowest(x.dtype)
    if may_look(x):
        y, at = _torch_max_pool(x, pool)
        if y.numel() and float(y.detach().amin()) > least:
            return y, at  # no NaN, no empty window: Caffe's maxima are torch's, a fifth sooner
    y, at = _torch_max_pool(without_nan(x), pool)
    return y.clamp(min=least), torch.where(y > least, at, -1)


def bound_max_pool(pool: Pool) -> Callable[[Tensor], Tensor]:
    """Return what gives the maxima of an image's windows that torch places as Caffe does."""
    kernel, stride, pad, _ = pool.window

    def pooled(x: Tensor) -> Tensor:
        y = torch.max_pool2d(x, kernel, stride, pad, 1, pool.ceil)
        if x.is_cpu and y.amin().item() > -FLT_MAX:
            return y  # as in `max_pool`
        return max_pool(x, pool)[0]

    return pooled


def _torch_max_pool(x: Tensor, pool: Pool) -> tuple[Tensor, Tensor]:
    """Return the maxima and their places as torch takes them: NaN wins, and so may padding."""
    kernel, stride, pad, _ = pool.window
    largest = F.max_pool2d if len(kernel) == 2 else F.max_pool3d
    if pool.native:
        return largest(x, kernel, stride, pad, ceil_mode=pool.ceil, return_indices=True)
    sizes = x.shape[2:]
    x = pad_spatial(x, pad, pool.ends(), -torch.inf)
    y, at = largest(x, kernel, stride, return_indices=True)
    place, area = torch.zeros_like(at), 1
    for padded, size, before in zip(
        reversed(x.shape[2:]), reversed(sizes), reversed(pad), strict=True
    ):
        place, at = place + (at % padded - before) * area, at // padded
        area *= size
    return y, place


def ave_pool(x: Tensor, pool: Pool) -> Tensor:
    """Return the windows' means: zeros of the padding may count, what hangs over does not."""
    kernel, stride, pad, _ = pool.window
    mean = F.avg_pool2d if len(kernel) == 2 else F.avg_pool3d
    if pool.native:
        return mean(x, kernel, stride, pad, pool.ceil, pool.include_pad)
    y = mean(pad_spatial(x, pad, pool.ends()), kernel, stride)
    area = torch.ones((), dtype=y.dtype, device=x.device)
    for places, *numbers in zip(y.shape[2:], x.shape[2:], kernel, stride, pad, strict=True):
        at = torch.arange(places, device=x.device)
        area = area[..., None] * _counted(at, *numbers, include_pad=pool.include_pad)
    return y * (prod(kernel) / area)


def _counted(
    places: Any, size: int, kernel: int, stride: int, pad: int, *, include_pad: bool
) -> Any:
    """Return how many values of an axis each place's window counts."""
    start = places * stride - pad
    if include_pad:
        return (start + kernel).clip(max=size + pad) - start
    return (start + kernel).clip(max=size) - start.clip(min=0)


def onnx_max_pool(op: Op, x: str, pool: Pool, *, inner: bool = False) -> str:
    """Append the windows' maxima; `inner` says that x is a layer's own value, of untold size."""
    kernel, stride, pad, _ = pool.window
    inside, ends = onnx_inside(op, x, pool, _least(op), inner=inner)
    largest = partial(op.append, "MaxPool", kernel_shape=kernel, strides=stride)
    pads = [*pad, *ends]
    if op.takes("MaxPool", inside, kernel_shape=kernel, strides=stride, pads=pads):
        return largest(inside, pads=pads)
    ends = pool.ends() if inner else _ends(op, x, pool)
    return largest(_onnx_pad(op, x, pad, ends, _least(op)))


def onnx_global_max(op: Op, x: str) -> str:
    """Append the largest value of each plane."""
    if op.takes("GlobalMaxPool"):
        return op.GlobalMaxPool(x)
    return op.reduce("ReduceMax", x, range(2, len(op.shape(x))), keepdims=1)


def onnx_max_places(op: Op, x: str, pool: Pool) -> tuple[str, str]:
    """Append the windows' maxima as the first top and their places as the second."""
    kernel, stride, pad, _ = pool.window
    padded, ends = onnx_inside(op, x, pool, _least(op))
    axes = tuple(range(2, 2 + len(kernel)))
    y, flat = op.MaxPool(padded, kernel_shape=kernel, strides=stride, pads=[*pad, *ends], outputs=2)
    at = op.Mod(flat, _product(op, padded, axes))
    if padded == x:
        return y, op.to_float(at)
    if len(kernel) != 2:
        raise UnsupportedError("the places of maxima in a volume whose windows hang over its end")
    width = _product(op, padded, (3,))
    row, column = op.Div(at, width), op.Mod(at, width)
    start = op.Mul(row, _product(op, x, (3,)))
    at = op.to_float(op.Add(start, column))
    found = op.Greater(y, op.scalar(_least(op)))
    return y, op.Where(found, at, op.scalar(-1))


def onnx_ave_pool(op: Op, x: str, pool: Pool) -> str:
    """Append the windows' means."""
    kernel, stride, pad, _ = pool.window
    ends, none = _ends(op, x, pool), (0,) * len(kernel)
    average = partial(op.append, "AveragePool", kernel_shape=kernel, strides=stride)
    if not pool.include_pad and any(pad):
        return average(x, pads=[*pad, *ends])
    if any(pad):
        if all(end <= p for end, p in zip(ends, pad, strict=True)):
            around: dict[str, Any] = {"pads": [*pad, *ends], "count_include_pad": 1}
            if op.takes("AveragePool", x, kernel_shape=kernel, strides=stride, **around):
                return average(x, **around)
            return average(_onnx_pad(op, x, pad, ends, 0))
        # The padding counts, what hangs over it does not: two kinds of zeros, so two nodes.
        over = tuple(max(end - p, 0) for end, p in zip(ends, pad, strict=True))
        how = _hanging(op, x, pool, over)
        return average(_onnx_pad(op, x, pad, pad, 0), **how)
    if not _outside(pool, ends):
        return average(x, **_hanging(op, x, pool, ends))
    if any(op.dynamic(x)[2:]):
        raise UnsupportedError(
            f"stride {stride} is larger than kernel {kernel}: which mean is 0 / 0 depends on "
            "the size",
            fix="export with fixed height and width",
        )
    spatial = op.shape(x)[2:]
    area: Any = np.ones((), np.float64)
    for places, *numbers in zip(pool.sizes(spatial), spatial, kernel, stride, pad, strict=True):
        counted = _counted(np.arange(places), *numbers, include_pad=pool.include_pad)
        area = np.multiply.outer(area, counted)
    with np.errstate(divide="ignore"):
        ratio = prod(kernel) / area
    inside = _onnx_pad(op, x, none, ends, 0)
    return op.Mul(average(inside), op.array("ratio", ratio))


def _hanging(op: Op, x: str, pool: Pool, ends: Sequence[int]) -> dict[str, Any]:
    """Return how a mean's windows may hang over the end by so much, beside the padding that counts.

    Rounding the number of places up is what other engines and optimizers take best: pads at the end
    alone stop pnnx and onnx2torch, and onnxoptimizer joins them to a Pad before them, and counts
    them. But Caffe drops a last place that starts beyond the padding.
    """
    if not any(ends):
        return {}
    spatial = op.shape(x)[2:]
    sizes = zip(spatial, pool.sizes(spatial), op.dynamic(x)[2:], strict=True)
    alike = all(
        kernel >= stride + pad if moves else -(-(size + 2 * pad - kernel) // stride) + 1 == places
        for (size, places, moves), kernel, stride, pad in zip(sizes, *pool.window[:3], strict=True)
    )
    return {"ceil_mode": 1} if alike else {"pads": [*(0,) * len(ends), *ends]}


def pool_source(py: Py, x: str, pool: Pool, method: str) -> str:
    """Return Python source of the windows' maxima (MAX) or means (AVE)."""
    kernel, stride, pad = map(py.sizes, pool.window[:3])
    axes = len(pool.window.kernel)
    how = {"stride": stride, "padding": pad, "ceil_mode": pool.ceil}
    if pool.native and method == "MAX":
        return py.module(f"nn.MaxPool{axes}d", kernel, **how, tensors={}) + f"({x})"
    if pool.native:
        how["count_include_pad"] = pool.include_pad
        return py.module(f"nn.AvgPool{axes}d", kernel, **how, tensors={}) + f"({x})"
    ends = pool.ends()
    if method == "AVE" or _outside(pool, ends):
        raise UnsupportedError(f"torch has no {method} pooling of these windows: {pool.window}")
    pairs = zip(reversed(pool.window.pad), reversed(ends), strict=True)
    pads = tuple(chain.from_iterable(pairs))
    padded = py.call("F.pad", x, pads, value="-torch.inf")
    return py.module(f"nn.MaxPool{axes}d", kernel, stride=stride, tensors={}) + f"({padded})"


def _least(op: Op) -> float:
    return max(-FLT_MAX, float(np.finfo(op.float_type).min))


def _ends(op: Op, x: str, pool: Pool) -> tuple[int, ...]:
    """Return the end padding: what this size needs, or where it is dynamic what any size does."""
    exact = pool.used_ends(op.shape(x)[2:])
    return tuple(
        any_size if moves else needed
        for moves, any_size, needed in zip(op.dynamic(x)[2:], pool.ends(), exact, strict=True)
    )


def _outside(pool: Pool, ends: Sequence[int]) -> bool:
    """Tell whether a window may lie wholly in the end padding, which no ONNX pool allows."""
    return any(end >= kernel for end, kernel in zip(ends, pool.window.kernel, strict=True))


def onnx_inside(
    op: Op, x: str, pool: Pool, value: float, *, inner: bool = False
) -> tuple[str, tuple[int, ...]]:
    """Return x and its end padding, moved into x where a window may lie wholly in it."""
    ends = pool.ends() if inner else _ends(op, x, pool)
    if not _outside(pool, ends):
        return x, ends
    none = (0,) * len(ends)
    return _onnx_pad(op, x, none, ends, value), none


def _onnx_pad(op: Op, x: str, before: Sequence[int], after: Sequence[int], value: float) -> str:
    pads = op.ints(0, 0, *before, 0, 0, *after)
    return op.Pad(x, pads, op.scalar(value))


def _product(op: Op, x: str, axes: tuple[int, ...]) -> str:
    """Append the product of a value's sizes at run time."""
    sizes = op.Gather(op.Shape(x), op.ints(*axes))
    return op.reduce("ReduceProd", sizes, (0,), keepdims=1)
