"""Dropout that is drawn in ONNX too."""

from __future__ import annotations

from typing import Any


def emit_drawn(op: Any, x: str, ratio: float, source: str, **to: Any) -> Any:
    """Append a Dropout of x that drops values; `source` is any value that is no constant.

    ONNX Runtime's optimizer takes every Dropout for an identity whose training mode is a constant,
    true or not: the mode is made of `source`, as what is a number or none.
    """
    none = op.IsNaN(op.ReduceMax(source, keepdims=0, name="largest"), name="is_none")
    always = op.Or(none, op.Not(none, name="is_number"), name="always")
    return op.Dropout(x, op.scalar(ratio), always, **to)
