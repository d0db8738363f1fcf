"""Rows that are chosen by a truth value each."""

from __future__ import annotations

from caffe_layers.base.op import Op


def emit_chosen(op: Op, mask: str) -> str:
    """Append the indices at which a vector of truth values is true, as a vector of int64.

    With a Gather behind it, it does what Compress does, which fewer engines have.
    """
    return op.Squeeze(op.NonZero(mask), op.ints(0))
