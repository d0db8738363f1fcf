"""Accuracy."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .labels import check_labels, emit_labels, read_labels


class Accuracy(Layer, type="Accuracy", param="accuracy_param", bottoms=2, tops=(1, 2)):
    """The part of the labels whose class is among the `top_k` best scored along `axis` of x.

    x has any shape with that axis, and there is one label for each place of its other axes.
    Labels are truncated to integers; those equal to `ignore_label` do not count. A class that
    scores as high as the right one counts as better. The top is a scalar; a second top, of as many
    values as classes, holds each class's own accuracy, 0 where no label has it.

    Errors: ShapeError where the labels are not as many as the predictions, or `top_k` is greater
    than the number of classes.
    Caffe: BVLC/caffe, src/caffe/layers/accuracy_layer.cpp
    """

    is_metric = True
    fixed_bottoms = (0, 1)

    def __init__(
        self, *, top_k: int = 1, axis: int = 1, ignore_label: int | None = None, tops: int = 1
    ) -> None:
        super().__init__()
        self.top_k = top_k
        self.axis = axis
        self.ignore_label = ignore_label
        self.per_class = tops == 2

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Accuracy:
        return cls(tops=len(layer.top), **cls.fields(layer))

    def shapes(self, x: Shape, label: Shape) -> list[Shape]:
        check_labels(x, label, self.axis)
        classes = x[self.axis]
        require(self.top_k <= classes, f"top_k {self.top_k} of {classes} classes in bottom {x}")
        return [(), (classes,)] if self.per_class else [()]

    def forward(self, x: Tensor, label: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        index, valid = read_labels(label, x, self.axis, self.ignore_label)
        if valid is None:
            valid = torch.ones_like(index, dtype=torch.bool)
        rank = (x >= x.gather(self.axis, index)).sum(self.axis, keepdim=True)
        right = (rank <= self.top_k) & valid
        right, valid = right.reshape(-1, 1), valid.reshape(-1, 1)
        accuracy = _share(right, valid, (0, 1), x.dtype)
        if not self.per_class:
            return accuracy
        classes = torch.arange(x.shape[self.axis], device=x.device)
        member = index.reshape(-1, 1) == classes
        return accuracy, _share(member & right, member & valid, (0,), x.dtype)

    def onnx(self, op: Op, x: str, label: str) -> Values:
        index, valid = emit_labels(op, label, x, self.axis, self.ignore_label)
        if valid is None:
            valid = op.Equal(index, index)
        score = op.GatherElements(x, index, axis=self.axis)
        better = op.to_float(op.GreaterOrEqual(x, score))
        rank = op.ReduceSum(better, op.ints(self.axis))
        near = op.LessOrEqual(rank, op.scalar(self.top_k))
        right = op.And(near, valid)
        column = op.ints(-1, 1)
        right = op.Reshape(right, column)
        valid = op.Reshape(valid, column)
        accuracy = _emit_share(op, right, valid, (0, 1))
        if not self.per_class:
            return accuracy
        classes = op.ints(*range(op.shape(x)[self.axis]))
        labels = op.Reshape(index, column)
        member = op.Equal(labels, classes)
        right = op.And(member, right)
        valid = op.And(member, valid)
        return accuracy, _emit_share(op, right, valid, (0,))


def _share(right: Tensor, counted: Tensor, axes: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    """Return how many of the `counted` are `right`, over these axes; 0 where none is counted."""
    return right.sum(axes).to(dtype) / counted.sum(axes).clamp(min=1)


def _emit_share(op: Op, right: str, counted: str, axes: tuple[int, ...]) -> str:
    sums = []
    for flags in (right, counted):
        ones = op.to_float(flags)
        sums.append(op.ReduceSum(ones, op.ints(*axes), keepdims=0))
    return op.Div(sums[0], op.Max(sums[1], op.scalar(1)))
