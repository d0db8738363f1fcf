"""What the losses over many predictions divide their sum by: `loss_param`."""

from __future__ import annotations

from math import prod
from typing import Any

from torch import Tensor

from caffe_layers.base.checks import canonical_axis
from caffe_layers.base.message import enum_name, is_set
from caffe_layers.base.op import Op
from prototxt.errors import UnsupportedError


def read_normalization(param: Any, default: str, *, pre_fixed: bool = False) -> str:
    """Return the normalization of a LossParameter, which may say it by the older `normalize`.

    Raises UnsupportedError for R-FCN's PRE_FIXED, unless the layer knows it (`pre_fixed`).
    """
    if param.HasField("normalization"):
        name = enum_name(param, "normalization")
        if name == "PRE_FIXED" and not pre_fixed:
            raise UnsupportedError("normalization PRE_FIXED is for R-FCN's softmax and smooth L1")
        return name
    if param.HasField("normalize"):
        return "VALID" if param.normalize else "BATCH_SIZE"
    return default


def is_pre_fixed(layer: Any) -> bool:
    """Tell whether a loss layer asks for R-FCN's divisor of its own."""
    loss = layer.loss_param
    return is_set(loss, "normalization") and enum_name(loss, "normalization") == "PRE_FIXED"


def normalized(
    losses: Tensor, valid: Tensor | None, axis: int, normalization: str, pre_fixed: float = 1.0
) -> Tensor:
    """Return the sum of the valid `losses`, divided by a count of at least 1.

    FULL counts all, VALID the valid ones, BATCH_SIZE the sizes before `axis`; PRE_FIXED divides by
    `pre_fixed`, NONE does not divide. Without a mask all losses are valid.
    """
    total = losses.sum() if valid is None else losses.masked_fill(~valid, 0).sum()
    if normalization == "NONE":
        return total
    if normalization == "PRE_FIXED":
        return total / max(pre_fixed, 1.0)
    if normalization == "BATCH_SIZE":
        return total / prod(losses.shape[:axis])
    if normalization == "VALID" and valid is not None:
        return total / valid.sum().clamp(min=1)
    return total / losses.numel()


def emit_normalized(
    op: Op,
    losses: str,
    valid: str | None,
    x: str,
    axis: int,
    normalization: str,
    pre_fixed: float = 1.0,
) -> str:
    """Append what `normalized` does; `x` is the bottom that sizes are read of."""
    if valid is not None:
        losses = op.Where(valid, losses, op.scalar(0))
    if normalization == "NONE":
        return op.ReduceSum(losses, keepdims=0)
    total = op.ReduceSum(losses, keepdims=0)
    if normalization == "PRE_FIXED":
        count = op.scalar(max(pre_fixed, 1.0))
    elif normalization == "BATCH_SIZE":
        count = leading_count(op, x, canonical_axis(axis, len(op.shape(x))))
    elif normalization == "VALID" and valid is not None:
        ones = op.to_float(valid)
        found = op.ReduceSum(ones, keepdims=0)
        count = op.Max(found, op.scalar(1))
    else:
        count = op.to_float(op.Size(losses))
    return op.Div(total, count)


def leading_count(op: Op, x: str, axis: int) -> str:
    """Return the number of values that the axes of x before `axis` span."""
    if not any(op.dynamic(x)[:axis]):
        return op.scalar(prod(op.shape(x)[:axis]))
    sizes = op.Slice(op.Shape(x), op.ints(0), op.ints(axis))
    return op.to_float(op.ReduceProd(sizes, keepdims=0))
