"""How alike boxes of centre and size are, and its slope, as the third YOLO's losses take them."""

from __future__ import annotations

from math import pi

import torch
from torch import Tensor

from .grid_loss import overlaps

KINDS = ("IOU", "GIOU", "DIOU", "CIOU")
POWER = 0.6
"""What darknet raises the distance's share of DIOU to; its gradient is of the power 1."""
TINY = 1e-6


def likeness(kind: str, a: Tensor, b: Tensor) -> Tensor:
    """Return how alike boxes ... x 4 are: intersection over union, less a penalty by kind.

    GIOU takes off how much of the box around both neither covers, DIOU the share that the squared
    distance of the centres has in the squared diagonal of that box, to the power 0.6, and CIOU that
    share and the square of what the aspects differ by, as angles, weighed by itself.
    """
    common = overlaps(a, b)
    if kind in ("IOU", "MSE"):
        return common
    low_a, high_a, low_b, high_b = _corners(a, b)
    around = torch.maximum(high_a, high_b) - torch.minimum(low_a, low_b)
    if kind == "GIOU":
        area = around.prod(-1)
        sizes = a[..., 2:].prod(-1) + b[..., 2:].prod(-1)
        union = sizes / (1 + common)  # for the intersection is `common` times the union
        return common - torch.where(area == 0, 0, (area - union) / torch.where(area == 0, 1, area))
    diagonal = around.square().sum(-1)
    distance = (a[..., :2] - b[..., :2]).square().sum(-1)
    none = diagonal == 0
    share = distance / torch.where(none, 1, diagonal)
    if kind == "DIOU":
        return common - torch.where(none, 0, share**POWER)
    angle, weight = _aspects(a, b, common)
    return common - torch.where(none, 0, share + weight * _aspect_loss(angle))


def slope(kind: str, a: Tensor, b: Tensor) -> Tensor:
    """Return what darknet takes for the slope of `likeness` by x, y, w and h of `a`: ... x 4.

    By w and h it is twice the derivative of all but the aspects. Of DIOU it is that of the share
    itself. Boxes that do not meet have the penalty's alone.
    """
    low, high, low_b, high_b = _corners(a, b)
    size, size_b = high - low, high_b - low_b
    inner = torch.minimum(high, high_b) - torch.maximum(low, low_b)
    common = inner.prod(-1, keepdim=True)  # positive for boxes apart along both axes, too
    union = size.prod(-1, keepdim=True) + size_b.prod(-1, keepdim=True) - common
    apart = (inner <= 0).any(-1, keepdim=True)
    # Each corner's coordinate moves an area by the length across it.
    grown = size.flip(-1)
    within_low = torch.where(low > low_b, -inner.flip(-1), 0)
    within_high = torch.where(high < high_b, inner.flip(-1), 0)
    ends = []
    around = torch.maximum(high, high_b) - torch.minimum(low, low_b)
    area = around.prod(-1, keepdim=True)
    beyond = ((low < low_b, -1.0), (high > high_b, 1.0))
    for moved, within, (outside, sign) in (
        (-grown, within_low, beyond[0]),
        (grown, within_high, beyond[1]),
    ):
        wider = moved - within
        end = _over(union * within - common * wider, union)
        if kind == "GIOU":
            out = torch.where(outside, sign * around.flip(-1), 0)
            penalty = _over(area * wider - union * out, area)
            end = torch.where(apart, penalty, end + penalty)
        ends.append(end)
    found = torch.cat([ends[0] + ends[1], ends[1] - ends[0]], -1)
    if kind not in ("DIOU", "CIOU"):
        return found
    diagonal = around.square().sum(-1, keepdim=True)
    distance = (a[..., :2] - b[..., :2]).square().sum(-1, keepdim=True)
    below, above = (outside.to(a.dtype) for outside, _ in beyond)
    along = 2 * around * (above - below) * distance
    across = 2 * around * (above + below) / 2 * distance
    centre = _over(2 * (b[..., :2] - a[..., :2]) * diagonal - along, diagonal)
    sizes = _over(across, diagonal)
    if kind == "CIOU":
        angle, weight = _aspects(a, b, (common / union)[..., 0])
        turn = 8 / pi**2 * (weight * angle)[..., None] * a[..., 2:].flip(-1)
        sizes = sizes + turn * turn.new_tensor([1.0, -1.0])
    penalty = torch.cat([centre, sizes], -1)
    return torch.where(apart, penalty, found + penalty)


def _corners(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the least and the largest coordinates of both boxes, ... x 2 each."""
    half, half_b = a[..., 2:] / 2, b[..., 2:] / 2
    return a[..., :2] - half, a[..., :2] + half, b[..., :2] - half_b, b[..., :2] + half_b


def _aspects(a: Tensor, b: Tensor, common: Tensor) -> tuple[Tensor, Tensor]:
    """Return what the aspects differ by, as angles, and what their loss weighs."""
    angle = (b[..., 2] / b[..., 3]).atan() - (a[..., 2] / a[..., 3]).atan()
    loss = _aspect_loss(angle)
    return angle, loss / (1 - common + loss + TINY)


def _aspect_loss(angle: Tensor) -> Tensor:
    return 4 / pi**2 * angle.square()


def _over(value: Tensor, size: Tensor) -> Tensor:
    """Return `value / size^2`, 0 where the size is not above 0."""
    return torch.where(size > 0, value / torch.where(size > 0, size, 1).square(), 0)
