"""The loss of a grid of boxes: what both YOLO loss layers share."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.base.checks import require
from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape
from caffe_layers.forks.margins.passes import CountsPasses
from caffe_layers.loss.labels import check_batch
from prototxt.errors import ShapeError, UnsupportedError

BOXES = (1, 1)
"""How the labels of a whole batch begin, one row an object, as AnnotatedData gives them."""

ROW = 5
"""Numbers an object: class, and centre and size in shares of the picture."""


class Objects(NamedTuple):
    """The objects of N images, T each, and the cells that they lie in."""

    label: Tensor
    """Classes, N x T."""
    box: Tensor
    """Centre and size, N x T x 4."""
    seen: Tensor
    """Which count where boxes are compared: those before the first without an x."""
    real: Tensor
    """Which are learned: those before the first without a width."""
    column: Tensor
    row: Tensor
    """The cells' numbers, N x T."""


class GridLoss(CountsPasses):
    """Base of the YOLO losses of a grid of boxes against labelled ones, scalars.

    Each anchor of each cell predicts a box, x, y, w, h, whether an object is there, and C classes:
    x is N x A (5 + C) x H x W. The labels are N x 5 T (in any shape), an object a row: class, and
    centre and size of its box in shares of the picture. Rows end with the first without an x, or
    w. The loss is the sum of squares of what Caffe takes for the gradient, which is not its
    derivative.

    Errors: ShapeError where predictions and labels do not fit, and for an object outside of the
    picture; UnsupportedError on writing ONNX.
    """

    is_loss = True
    fixed_bottoms = (1,)
    anchors: int
    classes: int

    def shapes(self, x: Shape, label: Shape) -> list[Shape]:
        if label[:2] != BOXES:
            check_batch(x, label)
        return [()]

    def check(self, x: Tensor) -> None:
        """Raise ShapeError unless x is N x A (5 + C) x H x W."""
        wants = self.anchors * (5 + self.classes)
        if x.dim() != 4 or x.shape[1] != wants:
            raise ShapeError(
                f"bottom {tuple(x.shape)} wants N x {wants} x H x W: {self.anchors} boxes a cell, "
                f"each of 5 numbers and {self.classes} classes"
            )

    def objects(self, label: Tensor, x: Tensor) -> Objects:
        """Return what the labels say; ShapeError where they are no rows of 5."""
        images, (height, width) = x.shape[0], x.shape[2:]
        count = label.numel() // images
        if count % ROW or count * images != label.numel():
            raise ShapeError(
                f"labels {tuple(label.shape)} are no rows of {ROW} for each of {images} images: "
                "class, x, y, w, h"
            )
        rows = label.detach().reshape(images, -1, ROW).to(x.dtype)
        box = rows[..., 1:]
        seen = (box[..., 0] != 0).cumprod(1) > 0
        real = (box[..., 2] != 0).cumprod(1) > 0
        column = (box[..., 0] * width).long()
        row = (box[..., 1] * height).long()
        at = row * width + column
        if not torch.compiler.is_compiling():
            outside = real & ((at < 0) | (at >= height * width))
            require(not bool(outside.any()), "an object's centre lies outside of its picture")
        return Objects(rows[..., 0].long(), box, seen, real, column, row)

    def numbers(self, x: Tensor) -> Tensor:
        """Return x as N x A x (5 + C) x H W."""
        return x.reshape(x.shape[0], self.anchors, 5 + self.classes, -1)

    def result(self, x: Tensor, squares: Tensor, delta: Tensor, share: int) -> Tensor:
        """Return the sum of `squares` over `share`, with the gradient `delta / N`."""
        through = (delta.detach() * self.numbers(x)).sum() / x.shape[0]
        return gradient_of(squares.sum() / share, through)

    def onnx(self, op: Op, *bottoms: str) -> str:
        raise UnsupportedError(
            f"{self.caffe_type} matches boxes to labels in training alone: it has no ONNX form",
            fix="leave it out: --deploy, or with_losses=False",
        )


def overlaps(a: Tensor, b: Tensor) -> Tensor:
    """Return intersection over union of boxes of centre and size; 0 where they do not meet."""
    (ax, ay, aw, ah), (bx, by, bw, bh) = a.unbind(-1), b.unbind(-1)
    width = torch.minimum(ax + aw / 2, bx + bw / 2) - torch.maximum(ax - aw / 2, bx - bw / 2)
    height = torch.minimum(ay + ah / 2, by + bh / 2) - torch.maximum(ay - ah / 2, by - bh / 2)
    meet = (width >= 0) & (height >= 0)
    common = torch.where(meet, width * height, 0)
    union = aw * ah + bw * bh - common
    return torch.where(meet & (common > 0), common / torch.where(union == 0, 1, union), 0)


def concentric(a: Tensor, b: Tensor) -> Tensor:
    """Return intersection over union of boxes of these sizes with one centre."""
    (aw, ah), (bw, bh) = a.unbind(-1), b.unbind(-1)
    common = torch.minimum(aw, bw) * torch.minimum(ah, bh)
    union = aw * ah + bw * bh - common
    return torch.where(common > 0, common / torch.where(union == 0, 1, union), 0)


def last_of(cells: Tensor, hits: Tensor, count: int) -> Tensor:
    """Return which of the E events of each image is a cell's last, -1 for none: N x count.

    `cells`, N x E, are the events' cells, and count where they are `hits`.
    """
    number = torch.arange(cells.shape[1], device=cells.device).expand_as(cells)
    number = torch.where(hits, number, -1)
    none = torch.full((cells.shape[0], count), -1, dtype=torch.int64, device=cells.device)
    return none.scatter_reduce(1, torch.where(hits, cells, 0), number, "amax")
