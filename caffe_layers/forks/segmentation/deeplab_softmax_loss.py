"""SoftmaxWithLoss, from DeepLab's first version."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.message import is_set
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.loss.class_weights import emit_weighted_sums, weighted_sums
from caffe_layers.loss.labels import check_batch, check_labels
from prototxt.errors import FormatError


class DeepLabSoftmaxWithLoss(
    Layer, type="SoftmaxWithLoss", fork="deeplab_v1", param="softmaxloss_param", bottoms=2
):
    """`top = -sum(w[label] * log(softmax(x)[label])) / sum(w[label])`, a scalar.

    The softmax runs over the channels of N x C x H x W; labels are one for each pixel, and those
    that equal any `ignore_label` do not count. Weights, one for each class, are all 1, or numbers
    in the text file `weight_source`. Where no label counts the loss is 0 / 0. The gradient is that
    of the unclamped logarithm.

    Errors: ShapeError where the labels are not as many as the pixels, or one is no class;
    FormatError for a file of weights that are not numbers, one of them negative.
    Caffe: TheLegendAli/DeepLab-Context, src/caffe/layers/softmax_loss_layer.cpp
    """

    is_loss = True
    applies = "softmax"
    fixed_bottoms = (1,)

    def __init__(
        self, *, ignore_label: Sequence[int] = (), class_weights: Sequence[float] = ()
    ) -> None:
        super().__init__()
        self.ignored = tuple(ignore_label)
        self.class_weights = tuple(map(float32, class_weights))

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return is_set(layer, "softmaxloss_param")

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> DeepLabSoftmaxWithLoss:
        source = layer.softmaxloss_param.weight_source
        return cls(class_weights=_read_weights(source) if source else (), **cls.fields(layer))

    def shapes(self, x: Shape, label: Shape) -> list[Shape]:
        check_batch(x, label)
        check_labels(x, label, 1)
        got = len(self.class_weights)
        require(got in (0, x[1]), f"{got} class weights for {x[1]} classes, wants one each")
        return [()]

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        sums = weighted_sums(x, label, 1, self.class_weights, self.ignored)
        top: Tensor = sums.loss / sums.weight
        return top

    def onnx(self, op: Op, x: str, label: str) -> Values:
        sums = emit_weighted_sums(op, x, label, 1, self.class_weights, self.ignored)
        return op.Div(sums.loss, sums.weight)


def _read_weights(path: str) -> list[float]:
    try:
        weights = [float(word) for word in Path(path).read_text("utf-8").split()]
    except OSError as error:
        raise FormatError(f"the weights {path!r} cannot be read: {error}") from None
    except ValueError as error:
        raise FormatError(f"{path}: {error}") from None
    if min(weights, default=0) < 0:
        raise FormatError(f"{path}: a weight is {min(weights)}, wants none below 0")
    return weights
