"""The hyperbolic tangent in ONNX."""

from __future__ import annotations

from caffe_layers.base.op import Op

SATURATED = 20.0
"""Beyond, tanh is 1 in float64 as in float32: 1 - tanh(x) is below 2^-56."""


def emit_tanh(op: Op, x: str, *, name: str = "") -> str:
    """Append a Tanh, of values that are cut off where it is 1 if the large ones are in need of it.

    Not always: a Clip costs a pass over the values, and is not sure to let NaN through.
    """
    if not op.takes("Tanh"):
        x = op.Clip(x, op.scalar(-SATURATED), op.scalar(SATURATED))
    return op.Tanh(x, name=name)
