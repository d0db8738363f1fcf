"""InfogainLoss."""

from __future__ import annotations

from math import log, prod
from typing import Any

import torch
from torch import Tensor

from caffe_layers.arithmetic.gradient import floored
from caffe_layers.base.checks import canonical_axis, require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt import ShapeError, UnsupportedError, read_blob

from .labels import check_batch, check_labels, emit_labels, read_labels
from .normalizer import emit_normalized, normalized, read_normalization
from .threshold import LOG_THRESHOLD

LEAST_LOG = log(LOG_THRESHOLD)


class InfogainLoss(
    Layer, type="InfogainLoss", param="infogain_loss_param", bottoms=(2, 3), tops=(1, 2)
):
    """`top = -sum over k of infogain[label, k] * log(softmax(x)[k]) / count`, a scalar.

    The softmax runs along `axis` of x, which holds K classes; there is one label for each place of
    the other axes. `infogain`, K x K, is the third bottom, or a matrix of the layer's own, which
    a definition reads from its `source`, a BlobProto's file. `ignore_label` and `normalization` are
    SoftmaxWithLoss's. The gradient is that of the unclamped logarithms. A second top holds the
    probabilities; like Caffe, nothing is propagated back from it.

    Errors: ShapeError where the labels are not as many as the predictions, the matrix does not
    hold K * K values or there is none; UnsupportedError for `normalize`, as in Caffe.
    Caffe: BVLC/caffe, src/caffe/layers/infogain_loss_layer.cpp
    """

    is_loss = True
    applies = "softmax"
    fork_fields = ("loss_param.normalization",)  # NONE has another number in R-FCN and Intel's
    fixed_bottoms = (1, 2)
    infogain: Tensor | None

    def __init__(
        self,
        infogain: Tensor | None = None,
        *,
        axis: int = 1,
        ignore_label: int | None = None,
        normalization: str = "VALID",
        tops: int = 1,
    ) -> None:
        super().__init__()
        self.axis = axis
        self.ignore_label = ignore_label
        self.normalization = normalization
        self.with_probabilities = tops == 2
        # Not a blob: Caffe keeps the matrix out of its weights.
        self.register_buffer("infogain", infogain, persistent=False)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> InfogainLoss:
        param, loss = layer.infogain_loss_param, layer.loss_param
        if loss.HasField("normalize"):
            raise UnsupportedError(
                "InfogainLoss knows no normalize", fix="say `normalization: VALID` or BATCH_SIZE"
            )
        if len(layer.top) == 2 and not layer.loss_weight:
            raise ShapeError("2 tops without loss weights, wants a loss_weight for each")
        infogain = None
        if len(bottoms) < 3:
            require(bool(param.source), "it has neither a third bottom nor a source for its matrix")
            infogain = torch.from_numpy(read_blob(param.source).array.copy())
        return cls(
            infogain,
            tops=len(layer.top),
            **cls.fields(layer),
            **cls.fields_of(loss, normalization=read_normalization(loss, "VALID")),
        )

    def shapes(self, x: Shape, label: Shape, infogain: Shape | None = None) -> list[Shape]:
        check_batch(x, label)
        check_labels(x, label, self.axis)
        if infogain is None:
            assert self.infogain is not None
            infogain = tuple(self.infogain.shape)
        classes = x[self.axis]
        if prod(infogain) != classes**2:
            raise ShapeError(
                f"the matrix {infogain} wants {classes} x {classes} values, as x {x} has"
            )
        return [(), x] if self.with_probabilities else [()]

    def forward(
        self, x: Tensor, label: Tensor, infogain: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        axis = self.axis % x.dim()
        infogain = self.infogain if infogain is None else infogain.detach()
        assert infogain is not None
        index, valid = read_labels(label, x, axis, self.ignore_label)
        rows = infogain.reshape(x.shape[axis], -1)[index.squeeze(axis)].movedim(-1, axis)
        logs = floored(x.log_softmax(axis), LEAST_LOG)
        losses = -(rows * logs).sum(axis, keepdim=True)
        loss = normalized(losses, valid, axis, self.normalization)
        return (loss, x.detach().softmax(axis)) if self.with_probabilities else loss

    def onnx(self, op: Op, x: str, label: str, infogain: str = "") -> Values:
        rank = len(op.shape(x))
        axis = canonical_axis(self.axis, rank)
        classes = op.shape(x)[axis]
        index, valid = emit_labels(op, label, x, axis, self.ignore_label)
        if infogain:
            matrix = op.Reshape(infogain, op.ints(classes, classes))
        else:
            assert self.infogain is not None
            matrix = op.array("infogain", self.infogain.cpu().numpy().reshape(classes, classes))
        squeezed = op.Squeeze(index, op.ints(axis))
        rows = op.Gather(matrix, squeezed, axis=0)
        order = [*range(axis), rank - 1, *range(axis, rank - 1)]
        rows = op.Transpose(rows, perm=order)
        logs = op.LogSoftmax(x, axis=axis)
        logs = op.Max(logs, op.scalar(LEAST_LOG))
        weighted = op.ReduceSum(op.Mul(rows, logs), op.ints(axis))
        losses = op.Neg(weighted)
        loss = emit_normalized(op, losses, valid, x, axis, self.normalization)
        return (loss, op.Softmax(x, axis=axis)) if self.with_probabilities else loss
