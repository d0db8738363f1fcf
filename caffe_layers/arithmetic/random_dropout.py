"""Dropout that is drawn in ONNX too."""

from __future__ import annotations

from caffe_layers.base.op import Op


def emit_drawn(op: Op, x: str, ratio: float, source: str) -> str:
    """Append a Dropout of x that drops values; `source` is any value that is no constant.

    ONNX Runtime's optimizer takes every Dropout for an identity whose training mode is a constant,
    true or not: the mode is made of `source`, as what is a number or none.
    """
    none = op.IsNaN(op.ReduceMax(source, keepdims=0))
    always = op.Or(none, op.Not(none))
    return op.Dropout(x, op.scalar(ratio), always)
