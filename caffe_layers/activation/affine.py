"""`scale * x + shift`, the inner part of Power, Exp and Log."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.op import Op


def affine(x: Tensor, scale: float, shift: float) -> Tensor:
    """Return `scale * x + shift`."""
    if scale != 1:
        x = x * scale
    return x + shift if shift else x


def emit_affine(op: Op, x: str, scale: float, shift: float) -> str:
    """Append what `affine` does."""
    if shift:
        scaled = emit_affine(op, x, scale, 0) if scale != 1 else x
        return op.Add(scaled, op.scalar(shift))
    return op.Mul(x, op.scalar(scale)) if scale != 1 else x
