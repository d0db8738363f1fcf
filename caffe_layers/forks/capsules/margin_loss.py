"""MarginLoss, of CapsNet."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .lengths import count_of, lengths, onnx_lengths


class _PerSample(torch.autograd.Function):
    """The mean of values, whose gradient is Caffe's: of each sample whole, whatever comes back."""

    @staticmethod
    def forward(ctx: Any, each: Tensor) -> Tensor:
        ctx.save_for_backward(torch.ones_like(each))
        return each.mean()

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (ones,) = ctx.saved_tensors
        return ones  # type: ignore[no-any-return]  # torch's saved tensors are untyped


class MarginLoss(Layer, type="MarginLoss", fork="capsnet", param="margin_param", bottoms=2, tops=1):
    """The mean over samples of what capsules of `num_class` classes are too short or too long by.

    With l the length of a class' capsule, `sqrt(sum(x^2) + 1e-7)`, that is `max(0, u - l)^2` for
    the label's class and `lambda max(0, l - d)^2` for each other, with u = `m_upper_bound` and
    d = `m_lower_bound`. A label of no class is none of them.

    Caffe's gradient is that of the sum and not of the mean, and takes no loss weight.

    Errors: ShapeError for capsules that do not fill a sample, and for other than N labels.
    Caffe: chenzhenhua986/CAFFE-CapsNet at cb0e272, src/caffe/layers/margin_loss_layer.cpp
    """

    is_loss = True
    fixed_bottoms = (1,)

    def __init__(
        self, *, num_class: int, m_upper_bound: float, m_lower_bound: float, lambda_: float
    ) -> None:
        super().__init__()
        self.num_class = num_class
        self.upper, self.lower = float32(m_upper_bound), float32(m_lower_bound)
        self.factor = float32(lambda_)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> MarginLoss:
        return cls(**cls.fields(layer, lambda_=getattr(layer.margin_param, "lambda")))

    def shapes(self, x: Shape, label: Shape) -> list[Shape]:
        count_of(x, self.num_class, "num_class")
        got = int(np.prod(label))
        require(got == x[0], f"bottom {label} has {got} labels, wants {x[0]}")
        return [()]

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        length = lengths(x.reshape(len(x), self.num_class, -1))
        classes = torch.arange(self.num_class, device=x.device)
        hit = label.reshape(-1, 1).long() == classes
        short = (self.upper - length).clamp(min=0).square()
        long = self.factor * (length - self.lower).clamp(min=0).square()
        each = torch.where(hit, short, long).sum(1)
        loss: Tensor = _PerSample.apply(each)  # type: ignore[no-untyped-call]  # torch left it untyped
        return loss

    def onnx(self, op: Op, x: str, label: str) -> Values:
        length = onnx_lengths(op, op.Reshape(x, op.ints(0, self.num_class, -1)), 3)
        labels = op.Reshape(op.to_int(label), op.ints(-1, 1))
        hit = op.Equal(labels, op.const(np.arange(self.num_class)))
        short = op.Relu(op.Sub(op.scalar(self.upper), length))
        long = op.Relu(op.Sub(length, op.scalar(self.lower)))
        long = op.Mul(op.Mul(long, long), op.scalar(self.factor))
        each = op.Where(hit, op.Mul(short, short), long)
        total = op.reduce("ReduceSum", each, (1,), keepdims=0)
        return op.reduce("ReduceMean", total, (0,), keepdims=0)
