"""Places between pixels along an axis: the two pixels beside each, and their weights.

Within half a pixel of the edge a value is the edge's, beyond it 0: so MNC resamples.
"""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.op import Op


def line(at: Tensor, size: int) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Return the pixels below and above each place `at`, of an axis of `size`, with weights."""
    inside = ((at >= -0.5) & (at <= size - 0.5)).to(at)
    held = at.clamp(0, size - 1)
    low = held.floor()
    rest = (held - low) * inside
    high = (low + 1).clamp(max=size - 1)
    return (low.long(), inside - rest), (high.long(), rest)


def emit_line(op: Op, at: str, size: str) -> tuple[tuple[str, str], tuple[str, str]]:
    """Append what `line` does for a size that is known at run time, one integer."""
    last = op.to_float(op.Sub(size, op.ints(1)))
    least = op.GreaterOrEqual(at, op.scalar(-0.5))
    inside = op.to_float(op.And(least, op.LessOrEqual(at, op.Add(last, op.scalar(0.5)))))
    held = op.Min(op.Max(at, op.scalar(0)), last)
    low = op.Floor(held)
    rest = op.Mul(op.Sub(held, low), inside)
    high = op.Min(op.Add(low, op.scalar(1)), last)
    return (op.to_int(low), op.Sub(inside, rest)), (op.to_int(high), rest)
