"""What FlowNet2's losses share: differences of which some are unknown, NaN."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from caffe_layers.base.checks import legacy_shape
from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


def check_bottoms(*bottoms: Shape) -> None:
    """Raise ShapeError unless the bottoms, one or two, have one shape of at most 4 axes."""
    legacy_shape(bottoms[0], "bottom")
    if bottoms[-1] != bottoms[0]:
        raise ShapeError(f"bottoms {bottoms[0]} and {bottoms[-1]} differ")


def difference(bottoms: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
    """Return the one bottom, or first minus second, with 0 for NaN, and where it is known."""
    d = bottoms[0] if len(bottoms) == 1 else bottoms[0] - bottoms[1]
    d = d.reshape(legacy_shape(d.shape, "bottom"))
    known = ~d.detach().isnan()
    return d.where(known, 0), known


def magnitude(d: Tensor) -> Tensor:
    """Return `|d|`, whose gradient at 0 is -1 as in Caffe's kernels."""
    return d * (d.detach() > 0).to(d.dtype).mul(2).sub(1)


def normalizer(known: Tensor, like: Tensor, *, by_entries: bool) -> Tensor | int:
    """Return what the sum is divided by: the images, or the known values of a channel."""
    return known.sum().to(like.dtype) / known.shape[1] if by_entries else known.shape[0]


def emit_difference(op: Op, bottoms: tuple[str, ...]) -> tuple[Any, Any]:
    """Append what `difference` does, without the axes that are not there."""
    d = bottoms[0]
    if len(bottoms) == 2:
        d = op.Sub(*bottoms)
    unknown = op.IsNaN(d)
    return op.Where(unknown, op.scalar(0), d), op.Not(unknown)


def emit_normalizer(op: Op, known: Any, x: str, *, by_entries: bool) -> str:
    """Append what `normalizer` does."""
    n, channels, *_ = legacy_shape(op.shape(x), "bottom")
    if not by_entries:
        if not any(op.dynamic(x)[:1]):
            return op.scalar(n)
        first = op.Gather(op.Shape(x), op.ints(0))
        return op.to_float(op.Squeeze(first))
    ones = op.to_float(known)
    total = op.ReduceSum(ones, keepdims=0)
    return op.Div(total, op.scalar(channels))
