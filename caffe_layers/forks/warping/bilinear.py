"""Reading an image between its pixels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.arithmetic.ramp import emit_ramp, ramp
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

NATIVE = (torch.float32, torch.float64)
"""What torch's operator computes in on every device."""
FAR = 4.0
"""A coordinate, in halves of an image, at which there is nothing of it."""


class Bilinear(Layer, bottoms=2):
    """Base: `top[n, c, i, j]` is the image n, C x H x W, at column x and row y of place (i, j).

    Between pixels it is bilinear; a pixel beyond the image is 0. Both bottoms have gradients.
    """

    def shapes(self, image: Shape, places: Shape) -> list[Shape]:
        if len(image) != 4 or len(places) != 4 or places[:2] != (image[0], 2):
            raise ShapeError(f"the image is {image} and the places {places}, wants N x C x H x W "
                             "and N x 2 x H x W")  # fmt: skip
        return [(*image[:2], *places[2:])]


def of_equal_sizes(image: Shape, flow: Shape) -> None:
    """Raise ShapeError unless there is a place for each pixel."""
    if image[2:] != flow[2:]:
        raise ShapeError(f"the image {image} and the flow {flow} differ in height or width")


def moved(flow: Tensor) -> tuple[Tensor, Tensor]:
    """Return the columns and rows that a flow leads to, N x H x W each."""
    height, width = flow.shape[2:]
    return flow[:, 0] + ramp(flow, width), flow[:, 1] + ramp(flow, height)[:, None]


def sample(image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return the image at columns x and rows y, N x H' x W' each."""
    learns = torch.is_grad_enabled() and any(one.requires_grad for one in (image, x, y))
    if not learns and image.dtype == x.dtype and image.dtype in NATIVE:
        return _native_sample(image, x, y)
    count, channels, height, width = image.shape
    flat = image.flatten(2)
    left, above = x.detach().floor(), y.detach().floor()
    across, down = x - left, y - above
    top: Tensor | float = 0.0
    for column, part in ((left, 1 - across), (left + 1, across)):
        for row, share in ((above, 1 - down), (above + 1, down)):
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            at = torch.where(inside, row * width + column, 0).long()
            wide = at.reshape(count, 1, -1).expand(-1, channels, -1)
            value = flat.gather(2, wide).reshape(count, channels, *x.shape[1:])
            top = top + value * torch.where(inside, part * share, 0).unsqueeze(1)
    assert isinstance(top, Tensor)
    return top


def _native_sample(image: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return what `sample` does by torch's operator, in a fraction of the time.

    Its coordinates go through a division by the size. On a pixel itself the last bit of it may say
    on which side of it a place lies: that is nothing to the value, but to the place's gradient.
    """
    height, width = image.shape[2:]
    grid = torch.stack(((2 * x + 1) / width - 1, (2 * y + 1) / height - 1), -1)
    # A place that is no number, or beyond all of them, sees nothing, as one beyond the image.
    grid = grid.nan_to_num(nan=FAR, posinf=FAR, neginf=FAR).clamp(-FAR, FAR)
    return F.grid_sample(image, grid, padding_mode="zeros", align_corners=False)


def emit_moved(op: Op, flow: str) -> tuple[str, str]:
    """Append what `moved` does: N x 1 x H x W each."""
    columns, rows = emit_ramp(op, flow, 3), op.Unsqueeze(emit_ramp(op, flow, 2), op.ints(1))
    across, down = emit_places(op, flow)
    return op.Add(across, columns), op.Add(down, rows)


def emit_places(op: Op, places: str) -> tuple[str, str]:
    """Append the two channels, N x 1 x H x W each."""
    across, down = op.Split(places, op.ints(1, 1), axis=1, outputs=2)
    return across, down


def emit_sample(op: Op, image: str, x: str, y: str) -> str:
    """Append what `sample` does, for N x 1 x H' x W' columns and rows."""
    sizes = op.Shape(image)
    width, height = (op.Slice(sizes, op.ints(axis), op.ints(axis + 1)) for axis in (3, 2))
    columns, rows = op.to_float(width), op.to_float(height)
    flat = op.Reshape(image, op.ints(0, 0, -1))
    channels = op.shape(image)[1]
    top_shape = op.Concat(op.ints(0, channels), op.Slice(op.Shape(x), op.ints(2), op.ints(4)),
                          axis=0)  # fmt: skip
    zero, one = op.scalar(0), op.scalar(1)
    left, above = op.Floor(x), op.Floor(y)
    across, down = op.Sub(x, left), op.Sub(y, above)
    top = ""
    for column, part in ((left, op.Sub(one, across)), (op.Add(left, one), across)):
        wide = op.And(op.GreaterOrEqual(column, zero), op.Less(column, columns))
        for row, share in ((above, op.Sub(one, down)), (op.Add(above, one), down)):
            high = op.And(op.GreaterOrEqual(row, zero), op.Less(row, rows))
            inside = op.And(wide, high)
            here = op.to_int(op.Where(inside, row, zero))
            there = op.to_int(op.Where(inside, column, zero))
            at = op.Reshape(op.Add(op.Mul(here, width), there), op.ints(0, 1, -1))
            each = op.Concat(op.Slice(op.Shape(at), op.ints(0), op.ints(1)), op.ints(channels),
                             op.ints(1), axis=0)  # fmt: skip
            value = op.GatherElements(flat, op.Expand(at, each), axis=2)
            weight = op.Where(inside, op.Mul(part, share), zero)
            value = op.Mul(op.Reshape(value, top_shape), weight)
            top = op.Add(top, value) if top else value
    return top
