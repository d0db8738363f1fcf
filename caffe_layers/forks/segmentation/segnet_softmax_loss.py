"""SoftmaxWithLoss, from SegNet and ENet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from caffe_layers.base.checks import canonical_axis, require
from caffe_layers.base.layer import Layer
from caffe_layers.base.message import is_set
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.loss.class_weights import emit_weighted_sums, weighted_sums
from caffe_layers.loss.labels import check_batch, check_labels
from caffe_layers.loss.normalizer import leading_count
from prototxt.errors import UnsupportedError


class SegNetSoftmaxWithLoss(
    Layer, type="SoftmaxWithLoss", fork="segnet", param="loss_param", bottoms=2
):
    """`top = -sum(w[label] * log(softmax(x)[label])) / count`, a scalar, along `axis` of x.

    There is one label for each place of the other axes of x; those equal to `ignore_label` do not
    count. `class_weighting` gives the weight w of each class, if `weight_by_label_freqs` says so;
    else it is 1. `count` is that of the labels that count with `normalize`, else the product of
    the sizes before `axis`. It does not contain the weights, and where no label counts the loss is
    0 / 0, where BVLC's is 0. The gradient is that of the unclamped logarithm.

    Errors: ShapeError where the labels are not as many as the predictions, or one is no class, and
    for weights that are not one for each class; UnsupportedError for weights by frequency alone.
    Caffe: TimoSaemann/caffe-segnet-cudnn5, src/caffe/layers/softmax_loss_layer.cpp
    """

    is_loss = True
    applies = "softmax"
    fixed_bottoms = (1,)

    def __init__(
        self,
        *,
        axis: int = 1,
        ignore_label: int | None = None,
        normalize: bool = True,
        class_weighting: Sequence[float] = (),
    ) -> None:
        super().__init__()
        self.axis = axis
        self.ignored = () if ignore_label is None else (ignore_label,)
        self.normalize = normalize
        self.class_weighting = tuple(map(float32, class_weighting))

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        names = ("weight_by_label_freqs", "class_weighting")
        return any(is_set(layer.loss_param, name) for name in names)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> SegNetSoftmaxWithLoss:
        param = layer.loss_param
        if param.weight_by_label_freqs and not param.class_weighting:
            raise UnsupportedError(
                "weight_by_label_freqs without class_weighting: SegNet's first version weighs by "
                "what the batch happens to hold, later ones want the weights",
                fix="give a class_weighting for each class",
            )
        weights = param.class_weighting if param.weight_by_label_freqs else ()
        return cls(axis=layer.softmax_param.axis, **cls.fields(layer, class_weighting=weights))

    def shapes(self, x: Shape, label: Shape) -> list[Shape]:
        check_batch(x, label)
        check_labels(x, label, self.axis)
        classes, got = x[canonical_axis(self.axis, len(x))], len(self.class_weighting)
        require(got in (0, classes), f"{got} class weights for {classes} classes, wants one each")
        return [()]

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        axis = canonical_axis(self.axis, x.dim())
        sums = weighted_sums(x, label, axis, self.class_weighting, self.ignored)
        count = sums.count if self.normalize else x.shape[:axis].numel()
        top: Tensor = sums.loss / count
        return top

    def onnx(self, op: Op, x: str, label: str) -> Values:
        axis = canonical_axis(self.axis, len(op.shape(x)))
        sums = emit_weighted_sums(op, x, label, axis, self.class_weighting, self.ignored)
        count = sums.count if self.normalize else leading_count(op, x, axis)
        return op.Div(sums.loss, count)
