"""MultinomialLogisticLoss."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.arithmetic.gradient import floored
from caffe_layers.base.checks import legacy_shape
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

from .labels import check_batch, emit_first, first_labels
from .normalizer import leading_count
from .threshold import LOG_THRESHOLD


class MultinomialLogisticLoss(Layer, type="MultinomialLogisticLoss", bottoms=2):
    """`top = -sum(log(max(x[label], 1e-20))) / N`, a scalar, for probabilities x, N x C x ...

    A label, one for each sample, is an index into all values of the sample, truncated to an
    integer. The gradient of a clamped logarithm is that of the clamp's value: -1e20.

    Errors: ShapeError for bottoms of more than 4 axes, and for other labels than N x 1 x 1 x 1.
    Caffe: BVLC/caffe, src/caffe/layers/multinomial_logistic_loss_layer.cpp
    """

    is_loss = True
    fixed_bottoms = (1,)

    def shapes(self, x: Shape, label: Shape) -> list[Shape]:
        check_batch(x, label)
        legacy_shape(x, "bottom")
        if legacy_shape(label, "label")[1:] != (1, 1, 1):
            raise ShapeError(f"labels {label} are several for a sample, wants one")
        return [()]

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        rows = x.reshape(x.shape[0], -1)
        picked = rows.gather(1, first_labels(label, x, rows.shape[1]))
        return -floored(picked, LOG_THRESHOLD).log().sum() / x.shape[0]

    def onnx(self, op: Op, x: str, label: str) -> Values:
        rows = op.Flatten(x, axis=1)
        picked = op.GatherElements(rows, emit_first(op, label, x), axis=1)
        logs = op.Log(op.Max(picked, op.scalar(LOG_THRESHOLD)))
        total = op.ReduceSum(op.Neg(logs), keepdims=0)
        return op.Div(total, leading_count(op, x, 1))
