"""Boxes: xmin, ymin, xmax, ymax on the last axis, and how SSD encodes them by a prior box."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.op import Op

CODE_TYPES = ("CORNER", "CENTER_SIZE", "CORNER_SIZE")


def decode(code_type: str, prior: Tensor, code: Tensor) -> Tensor:
    """Return the boxes of codes, which are multiplied by their variances already.

    CORNER adds them to the prior box; CORNER_SIZE too, in widths and heights of the prior box;
    CENTER_SIZE moves the centre and multiplies the size by the exponential.
    """
    if code_type == "CORNER":
        return prior + code
    low, high = prior.chunk(2, -1)
    size = high - low
    check_sizes(size, "prior box")
    if code_type == "CORNER_SIZE":
        return prior + code * torch.cat([size, size], -1)
    shift, growth = code.chunk(2, -1)
    centre, half = (low + high) / 2 + shift * size, growth.exp() * size / 2
    return torch.cat([centre - half, centre + half], -1)


def encode(code_type: str, prior: Tensor, box: Tensor) -> Tensor:
    """Return the codes of boxes, not yet divided by their variances."""
    if code_type == "CORNER":
        return box - prior
    low, high = prior.chunk(2, -1)
    size = high - low
    if code_type == "CORNER_SIZE":
        return (box - prior) / torch.cat([size, size], -1)
    box_low, box_high = box.chunk(2, -1)
    shift = ((box_low + box_high) / 2 - (low + high) / 2) / size
    return torch.cat([shift, ((box_high - box_low) / size).log()], -1)


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """Return intersection over union of boxes; 0 where an inverted or flat box is among them."""
    # Coordinate by coordinate: an axis of two numbers is slow to work along.
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = a.unbind(-1), b.unbind(-1)
    width = torch.minimum(ax1, bx1) - torch.maximum(ax0, bx0)
    height = torch.minimum(ay1, by1) - torch.maximum(ay0, by0)
    common = width.clamp(min=0) * height.clamp(min=0)
    return torch.where(common > 0, common / (area(a) + area(b) - common), 0)


def area(box: Tensor) -> Tensor:
    """Return the area of boxes; 0 for inverted ones."""
    x0, y0, x1, y1 = box.unbind(-1)
    return (x1 - x0).clamp(min=0) * (y1 - y0).clamp(min=0)


def check_sizes(size: Tensor, what: str) -> None:
    """Raise ShapeError for a box that is not wider and higher than 0, as Caffe does.

    In a model that is compiled or exported the values are not known, and nothing is checked.
    """
    if size.numel() and not torch.compiler.is_compiling():
        least = float(size.min())
        require(least > 0, f"a {what} has the width or height {least:g}, wants more than 0")


def emit_decode(op: Op, code_type: str, prior: str, code: str) -> str:
    """Append what `decode` does."""
    if code_type == "CORNER":
        return op.Add(prior, code)
    low, high = _emit_halves(op, prior)
    size = op.Sub(high, low)
    if code_type == "CORNER_SIZE":
        sizes = op.Concat(size, size, axis=-1)
        return op.Add(prior, op.Mul(code, sizes))
    shift, growth = _emit_halves(op, code)
    half_size = op.Mul(size, op.scalar(0.5))
    middle = op.Add(low, half_size)
    centre = op.Add(middle, op.Mul(shift, size))
    half = op.Mul(op.Exp(growth), half_size)
    return op.Concat(op.Sub(centre, half), op.Add(centre, half), axis=-1)


def emit_encode(op: Op, code_type: str, prior: str, box: str) -> str:
    """Append what `encode` does."""
    if code_type == "CORNER":
        return op.Sub(box, prior)
    low, high = _emit_halves(op, prior)
    size = op.Sub(high, low)
    if code_type == "CORNER_SIZE":
        sizes = op.Concat(size, size, axis=-1)
        return op.Div(op.Sub(box, prior), sizes)
    box_low, box_high = _emit_halves(op, box)
    ends = [op.Add(first, last) for first, last in ((box_low, box_high), (low, high))]
    moved = op.Mul(op.Sub(*ends), op.scalar(0.5))
    box_size = op.Sub(box_high, box_low)
    return op.Concat(op.Div(moved, size), op.Log(op.Div(box_size, size)), axis=-1)


def emit_overlap(op: Op, a: str, b: str) -> str:
    """Append what `overlap` does."""
    (a_low, a_high), (b_low, b_high) = (_emit_halves(op, box) for box in (a, b))
    low = op.Max(a_low, b_low)
    high = op.Min(a_high, b_high)
    common = emit_area(op, low, high)
    areas = op.Add(emit_area(op, a_low, a_high), emit_area(op, b_low, b_high))
    share = op.Div(common, op.Sub(areas, common))
    meets = op.Greater(common, op.scalar(0))
    return op.Where(meets, share, op.scalar(0))


def emit_area(op: Op, low: str, high: str) -> str:
    """Append what `area` does."""
    sides = op.Relu(op.Sub(high, low))
    return op.reduce("ReduceProd", sides, [-1], keepdims=0)


def _emit_halves(op: Op, boxes: str) -> tuple[str, ...]:
    return op.Split(boxes, op.ints(2, 2), axis=-1, outputs=2)
