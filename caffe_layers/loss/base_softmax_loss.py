"""What SoftmaxWithLoss and those of forks with other gradients have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from torch import Tensor
from typing_extensions import Self

from caffe_layers.arithmetic.gradient import floored
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .labels import check_batch, check_labels, emit_labels, read_labels
from .normalizer import (
    emit_normalized,
    is_pre_fixed,
    normalized,
    read_normalization,
)
from .threshold import LOG_FLT_MIN


class SoftmaxLossFields(TypedDict, total=False):
    """What a loss of a softmax is told: `BaseSoftmaxLoss`'s keywords."""

    axis: int
    ignore_label: int | None
    normalization: str


class BaseSoftmaxLoss(Layer):
    """Base of the losses of a softmax's logarithm at each label, as `SoftmaxWithLoss` says."""

    is_loss = True
    applies = "softmax"
    fork_fields = ("loss_param.normalization",)  # NONE has another number in R-FCN and Intel's
    fixed_bottoms = (1,)

    def __init__(
        self, *, axis: int = 1, ignore_label: int | None = None, normalization: str = "VALID"
    ) -> None:
        super().__init__()
        self.axis = axis
        self.ignore_label = ignore_label
        self.normalization = normalization

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return super().fits(layer, blobs) and not (is_pre_fixed(layer) or len(layer.top) == 3)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Self:
        normalization = read_normalization(layer.loss_param, "VALID")
        return cls(axis=layer.softmax_param.axis, **cls.fields(layer, normalization=normalization))

    def shapes(self, x: Shape, label: Shape) -> list[Shape]:
        check_batch(x, label)
        check_labels(x, label, self.axis)
        return [()]

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        index, valid = read_labels(label, x, self.axis, self.ignore_label)
        losses = -floored(x.log_softmax(self.axis).gather(self.axis, index), LOG_FLT_MIN)
        return normalized(losses, valid, self.axis, self.normalization)

    def onnx(self, op: Op, x: str, label: str) -> Values:
        index, valid = emit_labels(op, label, x, self.axis, self.ignore_label)
        logs = op.LogSoftmax(x, axis=self.axis)
        picked = op.GatherElements(logs, index, axis=self.axis)
        losses = op.Neg(op.Max(picked, op.scalar(LOG_FLT_MIN)))
        return emit_normalized(op, losses, valid, x, self.axis, self.normalization)
