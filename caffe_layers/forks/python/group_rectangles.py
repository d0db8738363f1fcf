"""OpenCV's groupRectangles: boxes that are alike become one, their mean."""

from __future__ import annotations

from math import ceil, log2
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from caffe_layers.base.op import Op

SMALL = 3
"""Boxes within another go where that one is of more than 3, or they of less."""


class Grouping(NamedTuple):
    """`threshold`: groups of so many boxes or fewer are dropped; `eps`: how alike boxes are.

    Two boxes [x, y, width, height] of one image are alike if x, y, x + width and y + height each
    differ by at most `eps` times the mean of the smaller width and the smaller height. Who is alike
    to one of a group is of it. A group becomes the mean of its boxes, in whole numbers, halves to
    even; it is dropped if it lies within another one that is kept, give or take `eps` of that one's
    sides, which has more boxes than both it and 3, or where it has less than 3 itself. A threshold
    of 0 leaves every box as it is.

    OpenCV: opencv/opencv 3.4, modules/objdetect/src/cascadedetect.cpp
    """

    threshold: int
    eps: float

    def groups(self, boxes: Tensor, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return whether each box stands for a group that is kept, the group's mean and its size.

        `boxes` are whole numbers, K x 4. A group is stood for by its first box.
        """
        if self.threshold <= 0:
            ones = torch.ones_like(images)
            return ones.bool(), boxes.float(), ones
        same = images[:, None] == images
        label = _first_of_group(self._alike(boxes) & same)
        places = torch.arange(len(boxes), device=boxes.device)
        count = torch.zeros_like(label).index_add(0, label, torch.ones_like(label))
        sums = torch.zeros_like(boxes).index_add(0, label, boxes)
        mean = (sums.float() * (1 / count.float())[:, None]).round()
        kept = (label == places) & (count > self.threshold)
        inside = self._inside(mean, count) & same & kept
        inside.fill_diagonal_(fill_value=False)
        return kept & ~inside.any(1), mean, count

    def _alike(self, boxes: Tensor) -> Tensor:
        sides = boxes[:, None, 2:].minimum(boxes[:, 2:]).double()
        delta = (self.eps * sides.sum(2) * 0.5)[..., None]
        edges = torch.cat((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), 1)
        alike: Tensor = ((edges[:, None] - edges).abs() <= delta).all(2)
        return alike.fill_diagonal_(fill_value=True)  # of a side below 0 too, which has no delta

    def _inside(self, mean: Tensor, count: Tensor) -> Tensor:
        """Tell which group (row) lies within which other (column), and is to go for it."""
        low, high = mean[:, :2], mean[:, :2] + mean[:, 2:]
        slack = (mean[:, 2:].double() * self.eps).round().float()
        within = (low[:, None] >= low - slack) & (high[:, None] <= high + slack)
        larger = count > count[:, None].clamp(min=SMALL)
        return within.all(2) & (larger | (count < SMALL)[:, None])

    def onnx_groups(self, op: Op, boxes: str, images: str, most: int) -> tuple[str, str, str]:
        """Append `groups`: `images` are K x 1 and of floats, and K is at most `most`.

        What it returns is K x 1, K x 4 and K x 1, all of float32 but the first, which is bool.
        """

        def number(value: float) -> str:
            return op.const(np.array(value, np.float32))

        def turned(value: str) -> str:
            return op.Transpose(value, perm=[1, 0])

        def column(value: str, at: int) -> str:
            return op.Slice(value, op.ints(at), op.ints(at + 1), op.ints(1))

        if self.threshold <= 0:
            ones = op.Add(op.Mul(images, number(0)), number(1))
            return op.cast(ones, np.bool_), boxes, ones

        def of(value: str) -> list[str]:
            """Return x, y, x + width and y + height."""
            x, y, width, height = (column(value, at) for at in range(4))
            return [x, y, op.Add(x, width), op.Add(y, height)]

        def alike(value: str, bound: str) -> str:
            return op.LessOrEqual(op.Abs(op.Sub(value, turned(value))), bound)

        def all_of(*parts: str) -> str:
            whole, *rest = parts
            for part in rest:
                whole = op.And(whole, part)
            return whole

        width, height = column(boxes, 2), column(boxes, 3)
        smaller = op.Add(op.Min(width, turned(width)), op.Min(height, turned(height)))
        delta = op.Mul(smaller, number(self.eps * 0.5))
        same = op.Equal(images, turned(images))
        rows = onnx_rows(op, boxes)
        itself = op.Equal(rows, turned(rows))
        linked = op.Or(itself, all_of(same, *(alike(edge, delta) for edge in of(boxes))))
        reach = op.cast(linked, np.float32)
        for _ in range(ceil(log2(max(most, 2)))):  # each time paths of twice as many boxes
            reach = op.Min(op.MatMul(reach, reach), number(1))
        label = op.cast(op.ArgMax(reach, axis=1, keepdims=1), np.float32)
        count = op.reduce("ReduceSum", reach, [1], keepdims=1)
        sums = op.MatMul(reach, boxes)
        mean = op.Round(op.Mul(sums, op.Div(number(1), count)))
        first = op.Equal(label, rows)
        kept = op.And(first, op.Greater(count, number(self.threshold)))
        sides = op.Slice(mean, op.ints(2), op.ints(4), op.ints(1))
        slack = op.Round(op.Mul(sides, number(self.eps)))
        edges = of(mean)
        bounds = [column(slack, at % 2) for at in range(4)]
        within = [
            op.GreaterOrEqual(edge, op.Sub(turned(edge), turned(bound)))
            for edge, bound in zip(edges[:2], bounds[:2], strict=True)
        ] + [
            op.LessOrEqual(edge, op.Add(turned(edge), turned(bound)))
            for edge, bound in zip(edges[2:], bounds[2:], strict=True)
        ]
        larger = op.Greater(turned(count), op.Max(count, number(SMALL)))
        goes = op.Or(larger, op.Less(count, number(SMALL)))
        inside = all_of(*within, goes, op.Not(itself), same, turned(kept))
        any_inside = op.reduce("ReduceMax", op.cast(inside, np.float32), [1], keepdims=1)
        return op.And(kept, op.Less(any_inside, number(0.5))), mean, count


def _first_of_group(alike: Tensor) -> Tensor:
    """Return the first of each one's group: who is alike to one of a group is of it."""
    label = torch.arange(len(alike), device=alike.device)
    while len(alike):
        least = torch.where(alike, label, len(alike)).amin(1)
        least = least[least]
        if torch.equal(least, label):
            break
        label = least
    return label


def onnx_rows(op: Op, boxes: str) -> str:
    """Append the numbers of a value's rows, K x 1 in float32."""
    zero, one = (op.const(np.array(number, np.int64)) for number in (0, 1))
    count = op.Gather(op.Shape(boxes), zero)
    return op.Unsqueeze(op.cast(op.Range(zero, count, one), np.float32), op.ints(1))
