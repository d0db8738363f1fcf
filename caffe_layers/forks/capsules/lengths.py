"""What capsules have in common: vectors of a few values, side by side, and their lengths."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape

TINY = 1e-7
"""What is added to the square of every length; a double in the sources."""


def count_of(x: Shape, dim: int, name: str) -> int:
    """Return how many capsules of `dim` values a sample of x holds, or the size of `dim` capsules.

    Raises ShapeError where they do not fill it, or `dim`, the field `name`, is not given.
    """
    require(dim > 0, f"{name} is {dim}, wants 1 or more")
    values = prod(x[1:])
    require(
        values % dim == 0, f"bottom {x} has {values} values a sample, wants a multiple of {dim}"
    )
    return values // dim


def lengths(capsules: Tensor) -> Tensor:
    """Return `sqrt(sum(x^2) + 1e-7)` over the last axis."""
    return (capsules.square().sum(-1) + TINY).sqrt()


def onnx_lengths(op: Op, capsules: str, rank: int, *, keepdims: int = 0) -> str:
    """Append the same, of a value of so many axes."""
    square = op.Mul(capsules, capsules)
    total = op.reduce("ReduceSum", square, (rank - 1,), keepdims=keepdims)
    return op.Sqrt(op.Add(total, op.scalar(TINY)))


def require_values(x: Shape, sizes: Sequence[int], what: str) -> None:
    """Raise ShapeError unless a sample of x holds as many values as the sizes' product."""
    got, want = prod(x[1:]), prod(sizes)
    told = " x ".join(map(str, sizes))
    require(got == want, f"bottom {x} has {got} values a sample, wants {want}: {what} {told}")
