"""ReverseTime, from CRNN."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_layers.arithmetic.ramp import emit_ramp, ramp
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class ReverseTime(
    Layer, type="ReverseTime", fork="caffe_ocr", param="reverse_time_param", bottoms=2
):
    """Turn each sequence round: `top[t, n] = x[length[n] - 1 - t, n]` for t below `length[n]`.

    x is T x N x ..., the lengths are N. What follows a sequence's end is 0, or with
    `copy_remaining` as it was.

    Errors: ShapeError unless there is one length for each sequence.
    Caffe: senlinuc/caffe_ocr, src/caffe/layers/reverse_time_layer.cpp
    """

    fixed_bottoms = (1,)
    time_first = True

    def __init__(self, *, copy_remaining: bool = False) -> None:
        super().__init__()
        self.copy_remaining = copy_remaining

    def shapes(self, x: Shape, lengths: Shape) -> list[Shape]:
        require(len(x) >= 2, f"x {x} has {len(x)} axes, wants T x N x ...")
        require(lengths == (x[1],), f"the lengths are {lengths}, wants one for each of {x[1]}")
        return [x]

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        steps = x.shape[0]
        time = ramp(x, steps)[:, None]
        last = lengths.detach().trunc() - 1
        inside = time <= last
        rest = time if self.copy_remaining else torch.zeros_like(time)
        at = torch.where(inside, last - time, rest).long()
        wide = at.reshape(*at.shape, *[1] * (x.dim() - 2)).expand_as(x)
        top = x.gather(0, wide)
        if self.copy_remaining:
            return top
        return top * inside.to(x).reshape(*at.shape, *[1] * (x.dim() - 2))

    def onnx(self, op: Op, x: str, lengths: str) -> Values:
        time = op.Unsqueeze(emit_ramp(op, x, 0), op.ints(1))
        whole = op.to_float(op.to_int(lengths))
        last = op.Sub(whole, op.scalar(1))
        inside = op.LessOrEqual(time, last)
        rest = time if self.copy_remaining else op.scalar(0)
        at = op.Where(inside, op.Sub(last, time), rest)
        beyond = len(op.shape(x)) - 2
        axes = op.ints(*range(2, 2 + beyond))
        at = op.Unsqueeze(at, axes) if beyond else at
        zeros = op.Mul(x, op.scalar(0))
        top = op.GatherElements(x, op.to_int(op.Add(at, zeros)), axis=0)
        if self.copy_remaining:
            return top
        mask = op.to_float(inside)
        return op.Mul(top, op.Unsqueeze(mask, axes) if beyond else mask)
