"""SoftmaxWithLoss with smoothed labels: NVIDIA's, Intel's and happynear's."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from torch import Tensor
from typing_extensions import Self, Unpack

from caffe_layers.arithmetic.gradient import floored, gradient_of
from caffe_layers.base.checks import canonical_axis, require
from caffe_layers.base.message import fork_field, is_set
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError

from .base_softmax_loss import BaseSoftmaxLoss, SoftmaxLossFields
from .labels import emit_labels, read_labels
from .normalizer import emit_normalized, is_pre_fixed, normalized
from .threshold import LOG_FLT_MIN

NEGLIGIBLE = 1e-6
"""Happynear's layer smooths by no less than this."""

OTHERS = ("hard_ratio", "class_weight", "hard_mining_label", "cutting_point", "normalize_type")
"""What happynear's layer reads of its softmax_param beside the smoothing."""


class _SmoothedGradient(BaseSoftmaxLoss):
    """Base of the losses that smooth their gradient alone: `s p - w` in place of `p - 1[label]`.

    p is the softmax, s and w what `weights` returns. The value is SoftmaxWithLoss's.
    """

    def __init__(
        self, *, label_smoothing: float = 0.0, **fields: Unpack[SoftmaxLossFields]
    ) -> None:
        super().__init__(**fields)
        self.label_smoothing = float32(label_smoothing)

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        smooths = fork_field(layer.loss_param, "label_smoothing", 0.0) != 0
        return smooths and len(layer.bottom) == 2 and not is_pre_fixed(layer)

    def weights(self, size: int) -> tuple[float, float, float]:
        """Return s, and w for the label and for the other classes.

        `size` is the number of values of a sample from the softmax's axis on, which Caffe takes
        for the number of classes.
        """
        raise NotImplementedError

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        axis = canonical_axis(self.axis, x.dim())
        index, valid = read_labels(label, x, axis, self.ignore_label)
        scale, own, other = self.weights(prod(x.shape[axis:]))
        losses = -floored(x.log_softmax(axis).gather(axis, index), LOG_FLT_MIN)
        pulled = (own - other) * x.gather(axis, index) + other * x.sum(axis, keepdim=True)
        losses = gradient_of(losses, scale * x.logsumexp(axis, keepdim=True) - pulled)
        return normalized(losses, valid, axis, self.normalization)


class NvidiaSoftmaxWithLoss(
    _SmoothedGradient, type="SoftmaxWithLoss", fork="nvidia", param="loss_param", bottoms=2
):
    """SoftmaxWithLoss whose gradient is that of smoothed labels; the loss is as without.

    With e for `label_smoothing` the gradient is `p - (1 - e) - e / (D - 1)` for the label and
    `p - e / (D - 1)` for every other class, over the count. D is the number of classes times that
    of a sample's places. It is the code for GPUs: that for CPUs does not smooth.

    Errors: those of SoftmaxWithLoss; ShapeError for a single class.
    Caffe: NVIDIA/caffe (caffe-0.17), src/caffe/layers/softmax_loss_layer.cu
    """

    def shapes(self, x: Shape, label: Shape) -> list[Shape]:
        tops = super().shapes(x, label)
        size = prod(x[canonical_axis(self.axis, len(x)) :])
        require(size > 1, f"bottom {x} has 1 class, wants 2 or more")
        return tops

    def weights(self, size: int) -> tuple[float, float, float]:
        other = self.label_smoothing / (size - 1)
        return 1.0, 1 - self.label_smoothing + other, other


class IntelSoftmaxWithLoss(
    _SmoothedGradient, type="SoftmaxWithLoss", fork="intel", param="loss_param", bottoms=2
):
    """SoftmaxWithLoss whose gradient is that of smoothed labels; the loss is as without.

    With e for `label_smoothing`, a for `1 - e` and b for `e / D` the gradient is `s p - a` for the
    label and `s p - b` for every other class, over the count, s being `a + (D - 1) b`. D is the
    number of classes times that of a sample's places.

    Errors: those of SoftmaxWithLoss.
    Caffe: intel/caffe, src/caffe/layers/softmax_loss_layer.cpp
    """

    def weights(self, size: int) -> tuple[float, float, float]:
        own, other = 1 - self.label_smoothing, self.label_smoothing / size
        return own + (size - 1) * other, own, other


class FaceSoftmaxWithLoss(
    BaseSoftmaxLoss, type="SoftmaxWithLoss", fork="happynear", param="loss_param", bottoms=2
):
    """`top = -sum of ((1 - e) log(p[label]) + e / (C - 1) sum of the others' log(p)) / count`.

    p is the softmax over the C classes along `axis`, e the softmax_param's `label_smooth_factor`.
    It is the code for GPUs: that for CPUs does not smooth.

    Errors: those of SoftmaxWithLoss; ShapeError for a single class; UnsupportedError for the
    softmax_param's other fields, by which Caffe weighs, mines or cuts.
    Caffe: happynear/caffe-windows, src/caffe/layers/softmax_loss_layer.cu
    """

    def __init__(
        self, *, label_smooth_factor: float = 0.0, **fields: Unpack[SoftmaxLossFields]
    ) -> None:
        super().__init__(**fields)
        self.factor = float32(label_smooth_factor)

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return len(layer.bottom) == 2 and is_set(layer.softmax_param, "label_smooth_factor")

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Self:
        param = layer.softmax_param
        for name in OTHERS:
            if is_set(param, name):
                raise UnsupportedError(f"{name} beside label_smooth_factor is not computed here")
        return super().from_caffe(layer, bottoms)

    @classmethod
    def fields(cls, layer: Any, **given: object) -> dict[str, Any]:
        return super().fields(
            layer, label_smooth_factor=layer.softmax_param.label_smooth_factor, **given
        )

    def shapes(self, x: Shape, label: Shape) -> list[Shape]:
        require(
            x[canonical_axis(self.axis, len(x))] > 1, f"bottom {x} has 1 class, wants 2 or more"
        )
        return super().shapes(x, label)

    def _weights(self, classes: int) -> tuple[float, float]:
        """Return what the label's logarithm weighs, and another one's."""
        return 1 - self.factor, self.factor / (classes - 1) if self.factor > NEGLIGIBLE else 0.0

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        index, valid = read_labels(label, x, self.axis, self.ignore_label)
        own, other = self._weights(x.shape[self.axis])
        logs = floored(x.log_softmax(self.axis), LOG_FLT_MIN)
        losses = (other - own) * logs.gather(self.axis, index)
        if other:
            losses = losses - other * logs.sum(self.axis, keepdim=True)
        return normalized(losses, valid, self.axis, self.normalization)

    def onnx(self, op: Op, x: str, label: str) -> Values:
        axis = canonical_axis(self.axis, len(op.shape(x)))
        index, valid = emit_labels(op, label, x, axis, self.ignore_label)
        own, other = self._weights(op.shape(x)[axis])
        logs = op.Max(op.LogSoftmax(x, axis=axis), op.scalar(LOG_FLT_MIN))
        losses = op.Mul(op.GatherElements(logs, index, axis=axis), op.scalar(other - own))
        if other:
            total = op.reduce("ReduceSum", logs, (axis,), keepdims=1)
            losses = op.Sub(losses, op.Mul(total, op.scalar(other)))
        return emit_normalized(op, losses, valid, x, axis, self.normalization)
