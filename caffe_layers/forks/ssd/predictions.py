"""What DetectionOutput and MultiBoxLoss take: locations, scores and prior boxes."""

from __future__ import annotations

from math import prod
from typing import Any

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Shape

from .bbox import decode, emit_decode


def check_predictions(
    loc: Shape, conf: Shape, prior: Shape, loc_classes: int, num_classes: int
) -> int:
    """Return the number P of prior boxes: loc is N x 4P `loc_classes`, conf N x P `num_classes`.

    Raises ShapeError where they do not fit; axes of size 1 may follow.
    """
    height = prior[2] if len(prior) > 2 else 0
    fits = height % 4 == 0 and prod(prior) == 2 * height and height > 0
    require(fits, f"the prior boxes are {prior}, wants 1 x 2 x 4P")
    for name, shape, each in (("loc", loc, 4 * loc_classes), ("conf", conf, num_classes)):
        wants = height // 4 * each
        same = len(shape) > 1 and prod(shape[1:]) == shape[1] == wants
        require(same, f"{name} is {shape}, wants N x {wants} for {height // 4} prior boxes")
    require(loc[0] == conf[0], f"loc {loc} and conf {conf} differ in N")
    return height // 4


def check_refinement(name: str, each: int, shape: Shape, prior: Shape, loc: Shape) -> None:
    """Raise ShapeError unless a bottom of RefineDet is N x P `each`."""
    wants = (loc[0], prior[2] // 4 * each)
    fits = shape[:2] == wants and prod(shape) == prod(wants)
    require(fits, f"{name} is {shape}, wants {wants[0]} x {wants[1]}")


def read_priors(prior: Tensor, *, encoded: bool) -> tuple[Tensor, Tensor]:
    """Return P x 1 x 4 boxes and their variances; 1s where these are `encoded` in the targets."""
    boxes, variances = prior.detach().reshape(2, -1, 1, 4).unbind()
    return boxes, variances.new_ones(()) if encoded else variances


def refine(code_type: str, boxes: Tensor, variances: Tensor, loc: Tensor) -> Tensor:
    """Return prior boxes decoded by N x 4P locations: N x P x 1 x 4."""
    codes = loc.detach().reshape(loc.shape[0], -1, 1, 4) * variances
    return decode(code_type, boxes, codes)


def emit_priors(
    op: Any, prior: str, *, encoded: bool, name: str = "prior"
) -> tuple[str, str | None]:
    """Append what `read_priors` does; no variances where they are 1."""
    both = op.Reshape(prior, op.ints(2, -1, 1, 4), name=f"{name}/both")
    halves = op.Split(both, op.ints(1, 1), axis=0, outputs=2, name=f"{name}/halves")
    boxes = op.Squeeze(halves[0], op.ints(0), name=f"{name}/boxes")
    if encoded:
        return boxes, None
    return boxes, op.Squeeze(halves[1], op.ints(0), name=f"{name}/variances")


def emit_refine(op: Any, code_type: str, boxes: str, variances: str | None, loc: str) -> Any:
    """Append what `refine` does."""
    codes = op.Reshape(loc, op.ints(0, -1, 1, 4), name="refining_codes")
    if variances is not None:
        codes = op.Mul(codes, variances, name="scaled_refining_codes")
    return emit_decode(op, code_type, boxes, codes, "refined")
