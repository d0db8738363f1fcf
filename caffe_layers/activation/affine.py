"""`scale * x + shift`, the inner part of Power, Exp and Log."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def affine(x: Tensor, scale: float, shift: float) -> Tensor:
    """Return `scale * x + shift`."""
    if scale != 1:
        x = x * scale
    return x + shift if shift else x


def emit_affine(op: Any, x: str, scale: float, shift: float, **to: Any) -> Any:
    """Append what `affine` does; `to` says where the result goes: `name="inner"`."""
    if shift:
        scaled = emit_affine(op, x, scale, 0, name="scaled") if scale != 1 else x
        return op.Add(scaled, op.scalar(shift), **to)
    return op.Mul(x, op.scalar(scale), **to) if scale != 1 else op.Identity(x, **to)
