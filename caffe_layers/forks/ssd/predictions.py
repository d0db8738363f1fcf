"""What DetectionOutput and MultiBoxLoss take: locations, scores and prior boxes."""

from __future__ import annotations

from math import prod

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

from .bbox import decode, emit_decode


def check_predictions(
    loc: Shape, conf: Shape, prior: Shape, loc_classes: int, num_classes: int, numbers: int = 4
) -> int:
    """Return the number P of prior boxes: conf is N x P `num_classes`.

    loc is N x P `loc_classes` `numbers`.

    Raises ShapeError where they do not fit; axes of size 1 may follow.
    """
    height = prior[2] if len(prior) > 2 else 0
    if height % 4 != 0 or prod(prior) != 2 * height or height <= 0:
        raise ShapeError(f"the prior boxes are {prior}, wants 1 x 2 x 4P")
    for name, shape, each in (("loc", loc, numbers * loc_classes), ("conf", conf, num_classes)):
        wants = height // 4 * each
        if len(shape) <= 1 or not prod(shape[1:]) == shape[1] == wants:
            doubled = shape[1:] == (2 * wants,)
            raise ShapeError(
                f"{name} is {shape}, wants N x {wants} for {height // 4} prior boxes",
                fix="TextBoxes' PriorBox makes twice as many: --dialect textboxes"
                if doubled
                else "",
            )
    require(loc[0] == conf[0], f"loc {loc} and conf {conf} differ in N")
    return height // 4


def check_refinement(name: str, each: int, shape: Shape, prior: Shape, loc: Shape) -> None:
    """Raise ShapeError unless a bottom of RefineDet is N x P `each`."""
    wants = (loc[0], prior[2] // 4 * each)
    if shape[:2] != wants or prod(shape) != prod(wants):
        raise ShapeError(f"{name} is {shape}, wants {wants[0]} x {wants[1]}")


def read_priors(prior: Tensor, *, encoded: bool) -> tuple[Tensor, Tensor]:
    """Return P x 1 x 4 boxes and their variances; 1s where these are `encoded` in the targets."""
    boxes, variances = prior.detach().reshape(2, -1, 1, 4).unbind()
    return boxes, variances.new_ones(()) if encoded else variances


def refine(code_type: str, boxes: Tensor, variances: Tensor, loc: Tensor) -> Tensor:
    """Return prior boxes decoded by N x 4P locations: N x P x 1 x 4."""
    codes = loc.detach().reshape(loc.shape[0], -1, 1, 4) * variances
    return decode(code_type, boxes, codes)


def emit_priors(op: Op, prior: str, *, encoded: bool) -> tuple[str, str | None]:
    """Append what `read_priors` does; no variances where they are 1."""
    if encoded:
        boxes, _ = _emit_halves(op, prior)
        return op.Squeeze(boxes, op.ints(0)), None
    return emit_boxes_and_variances(op, prior)


def emit_boxes_and_variances(op: Op, prior: str) -> tuple[str, str]:
    """Append the prior boxes and their variances, each P x 1 x 4."""
    boxes, variances = _emit_halves(op, prior)
    return op.Squeeze(boxes, op.ints(0)), op.Squeeze(variances, op.ints(0))


def _emit_halves(op: Op, prior: str) -> tuple[str, ...]:
    both = op.Reshape(prior, op.ints(2, -1, 1, 4))
    return op.Split(both, op.ints(1, 1), axis=0, outputs=2)


def emit_refine(op: Op, code_type: str, boxes: str, variances: str | None, loc: str) -> str:
    """Append what `refine` does."""
    codes = op.Reshape(loc, op.ints(0, -1, 1, 4))
    if variances is not None:
        codes = op.Mul(codes, variances)
    return emit_decode(op, code_type, boxes, codes)
