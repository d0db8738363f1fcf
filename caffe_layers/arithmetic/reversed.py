"""An axis turned round."""

from __future__ import annotations

from caffe_layers.base.op import Op

BEFORE_ALL = -(1 << 62)
"""Before the first index, whatever the size."""


def emit_reversed(op: Op, x: str, axis: int) -> str:
    """Append x with one axis turned round."""
    return op.Slice(x, op.ints(-1), op.ints(BEFORE_ALL), op.ints(axis), op.ints(-1))
