"""SigmoidCrossEntropyLoss."""

from __future__ import annotations

from math import prod
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .labels import check_batch, emit_valid
from .normalizer import emit_normalized, normalized, read_normalization


class SigmoidCrossEntropyLoss(Layer, type="SigmoidCrossEntropyLoss", param="loss_param", bottoms=2):
    """`top = -sum(t * log(sigmoid(x)) + (1 - t) * log(1 - sigmoid(x))) / count`, a scalar.

    Targets t are as many as x and as many samples, each from 0 to 1; those that `ignore_label`
    equals once they are truncated to integers do not count. `normalization` says what the count is:
    FULL (all values), VALID (those that are not ignored), BATCH_SIZE (samples) or NONE (1); not
    VALID as in the other losses, but BATCH_SIZE is the default.

    Errors: ShapeError where x and t differ in their numbers of samples or values.
    Caffe: BVLC/caffe, src/caffe/layers/sigmoid_cross_entropy_loss_layer.cpp
    """

    is_loss = True
    applies = "sigmoid"
    fork_fields = ("loss_param.normalization",)  # NONE has another number in R-FCN and Intel's
    fixed_bottoms = (1,)

    def __init__(
        self, *, ignore_label: int | None = None, normalization: str = "BATCH_SIZE"
    ) -> None:
        super().__init__()
        self.ignore_label = ignore_label
        self.normalization = normalization

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> SigmoidCrossEntropyLoss:
        normalization = read_normalization(layer.loss_param, "BATCH_SIZE")
        return cls(**cls.fields(layer, normalization=normalization))

    def shapes(self, x: Shape, target: Shape) -> list[Shape]:
        check_batch(x, target)
        require(prod(x) == prod(target), f"bottom {x} and its targets {target} differ in values")
        return [()]

    def forward(self, x: Tensor, target: Tensor) -> Tensor:
        target = target.detach().reshape(x.shape)
        valid = None if self.ignore_label is None else target.long() != self.ignore_label
        losses = F.binary_cross_entropy_with_logits(x, target.to(x.dtype), reduction="none")
        return normalized(losses, valid, 1, self.normalization)

    def onnx(self, op: Op, x: str, target: str) -> Values:
        valid = None
        if op.shape(target) != op.shape(x):
            target = op.Reshape(target, op.Shape(x))
        if self.ignore_label is not None:
            valid = emit_valid(op, op.to_int(target), self.ignore_label)
        # max(x, 0) - x * t + log(1 + exp(-|x|)) overflows nowhere.
        linear = op.Sub(op.Relu(x), op.Mul(x, target))
        distance = op.Neg(op.Abs(x))
        losses = op.Add(linear, op.Softplus(distance))
        return emit_normalized(op, losses, valid, x, 1, self.normalization)
