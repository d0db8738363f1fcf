"""What `bbox_reg_param` says: by what the shifts of boxes were normalised."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from caffe_layers.base.message import fork_field
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op
from prototxt.errors import ShapeError

COORDINATES = 4
Four = tuple[float, ...]
NO_MEAN, NO_STD = (0.0,) * COORDINATES, (1.0,) * COORDINATES


def normalization(layer: Any) -> dict[str, Any]:
    """Return `bbox_mean` and `bbox_std` of a layer: 0 and 1 unless both are given.

    Raises ShapeError unless there are four of each.
    """
    param = fork_field(layer, "bbox_reg_param")
    mean = tuple(map(float32, fork_field(param, "bbox_mean", ()))) if param is not None else ()
    std = tuple(map(float32, fork_field(param, "bbox_std", ()))) if param is not None else ()
    if not (mean and std):
        return {"bbox_mean": NO_MEAN, "bbox_std": NO_STD}
    if len(mean) != COORDINATES or len(std) != COORDINATES:
        raise ShapeError(f"bbox_mean {mean} and bbox_std {std} want four values each")
    return {"bbox_mean": mean, "bbox_std": std}


def decoded(shifts: Tensor, priors: Tensor, mean: Four, std: Four) -> Tensor:
    """Return boxes as corners, ... x 4, from shifts and from the regions that they shift.

    A side is `x2 - x1 + 1`, a centre `(x1 + x2) / 2`; dx moves the centre by as many sides, dw is
    the logarithm of how many times as wide the box is.
    """
    shifts = shifts * torch.tensor(std).to(shifts) + torch.tensor(mean).to(shifts)
    sides = priors[..., 2:] - priors[..., :2] + 1
    centres = 0.5 * (priors[..., 2:] + priors[..., :2])
    sizes = sides * shifts[..., 2:].exp()
    first = shifts[..., :2] * sides + centres - (sizes - 1) / 2
    return torch.cat((first, first + sizes - 1), -1)


def emit_decoded(op: Op, shifts: str, priors: str, mean: Four, std: Four) -> str:
    """Append what `decoded` does, along the last axis."""
    shifts = op.Add(op.Mul(shifts, op.floats(std)), op.floats(mean))
    by, grown = (part(op, shifts, at) for at in (0, 2))
    low, high = (part(op, priors, at) for at in (0, 2))
    one, half = op.scalar(1), op.scalar(0.5)
    sides = op.Add(op.Sub(high, low), one)
    centres = op.Mul(op.Add(high, low), half)
    sizes = op.Mul(sides, op.Exp(grown))
    inner = op.Sub(sizes, one)
    first = op.Sub(op.Add(op.Mul(by, sides), centres), op.Mul(inner, half))
    return op.Concat(first, op.Add(first, inner), axis=-1)


def part(op: Op, x: str, at: int, count: int = 2) -> str:
    """Append the choice of some values of the last axis."""
    return op.Slice(x, op.ints(at), op.ints(at + count), op.ints(-1))


def clip_bounds(field_whr: float, field_xyr: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the most of each shift: a box stays near its field, and of its size."""
    move, grow = 1 / field_xyr, np.log(field_whr)
    return np.array([-move, -move, -grow, -grow]), np.array([move, move, grow, grow])
