"""SoftmaxWithLossOHEM, R-FCN's SoftmaxWithLoss with the loss of each region as a third top."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from caffe_layers.arithmetic.gradient import floored
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.loss.labels import check_batch, check_labels, emit_labels, read_labels
from caffe_layers.loss.normalizer import (
    emit_normalized,
    is_pre_fixed,
    normalized,
    read_normalization,
)
from caffe_layers.loss.threshold import LOG_FLT_MIN


class SoftmaxWithLossOHEM(
    Layer, type="SoftmaxWithLossOHEM", fork="rfcn", param="loss_param", bottoms=2, tops=(1, 3)
):
    """`top = -sum(log(softmax(x)[label])) / count`, a scalar, and the terms of the sum.

    As SoftmaxWithLoss, but with the `normalization` PRE_FIXED, whose count is
    `pre_fixed_normalizer`, 1 at least. The second top holds the probabilities, the third, of the
    labels' shape, the terms: 0 where the label is ignored. Neither has a gradient.

    Errors: ShapeError where the labels are not as many as the predictions, or one is no class.
    Caffe: daijifeng001/caffe-rfcn, src/caffe/layers/softmax_loss_ohem_layer.cpp
    """

    is_loss = True
    applies = "softmax"
    fixed_bottoms = (1,)

    def __init__(
        self,
        *,
        axis: int = 1,
        ignore_label: int | None = None,
        normalization: str = "VALID",
        pre_fixed_normalizer: float = 1.0,
        tops: int = 1,
    ) -> None:
        super().__init__()
        self.axis, self.ignore_label = axis, ignore_label
        self.normalization = normalization
        self.pre_fixed_normalizer = float32(pre_fixed_normalizer)
        self.made = tops

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> SoftmaxWithLossOHEM:
        normalization = read_normalization(layer.loss_param, "VALID", pre_fixed=True)
        return cls(
            axis=layer.softmax_param.axis,
            tops=max(len(layer.top), 1),
            **cls.fields(layer, normalization=normalization),
        )

    def shapes(self, x: Shape, label: Shape) -> list[Shape]:
        check_batch(x, label)
        check_labels(x, label, self.axis)
        return [(), x, label][: self.made]

    def forward(self, x: Tensor, label: Tensor) -> Tensor | tuple[Tensor, ...]:
        index, valid = read_labels(label, x, self.axis, self.ignore_label)
        losses = -floored(x.log_softmax(self.axis).gather(self.axis, index), LOG_FLT_MIN)
        loss = normalized(losses, valid, self.axis, self.normalization, self.pre_fixed_normalizer)
        if self.made == 1:
            return loss
        each = losses.detach() if valid is None else losses.detach().masked_fill(~valid, 0)
        tops = loss, x.detach().softmax(self.axis), each.reshape(label.shape)
        return tops[: self.made]

    def onnx(self, op: Op, x: str, label: str) -> Values:
        index, valid = emit_labels(op, label, x, self.axis, self.ignore_label)
        logs = op.LogSoftmax(x, axis=self.axis)
        picked = op.GatherElements(logs, index, axis=self.axis)
        losses = op.Neg(op.Max(picked, op.scalar(LOG_FLT_MIN)))
        if valid is not None:
            losses = op.Where(valid, losses, op.scalar(0))
        total = emit_normalized(
            op, losses, valid, x, self.axis, self.normalization, self.pre_fixed_normalizer
        )
        tops = [total]
        if self.made > 1:
            tops.append(op.Softmax(x, axis=self.axis))
        if self.made > 2:
            tops.append(op.Reshape(losses, op.Shape(label)))
        return tops


class RFCNSoftmaxWithLoss(
    SoftmaxWithLossOHEM, type="SoftmaxWithLoss", fork="rfcn", bottoms=2, tops=(1, 3)
):
    """SoftmaxWithLossOHEM by the name of BVLC's layer.

    Told from that by a third top, or by the normalization PRE_FIXED.
    """

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return is_pre_fixed(layer) or len(layer.top) == 3
