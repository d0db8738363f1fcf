"""SegAccuracy, from DeepLab and PSPNet, and EltwiseAccuracy, from DeconvNet."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from caffe_layers.arithmetic.indices import check_indices
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError


class SegAccuracy(Layer, type="SegAccuracy", fork="deeplab", param="seg_accuracy_param", bottoms=2):
    """Three figures of a labelling, 1 x 1 x 1 x 3: how scores N x C x H x W meet labels.

    Labels are N x 1 x H x W; those of `ignore_label` do not count. The prediction is the largest
    score, the last of several. With `n[i, j]` pixels of label i that are predicted as j the
    figures are: those on the diagonal among all (0 of none); the mean over the labels that occur
    of `n[i, i] / sum(n[i])`; the mean over all classes of what both have in common among what
    either has (1 for a class that neither has). Without `reset` the counts add up from batch to
    batch, until `reset_state`. `metric` names one of the figures, and Caffe does not read it.

    Errors: ShapeError where labels and scores differ in N, H or W, or a label is no class;
    UnsupportedError for the ONNX form without `reset`.
    Caffe: hszhao/PSPNet, src/caffe/layers/seg_accuracy_layer.cpp
    """

    is_metric = True
    fixed_bottoms = (0, 1)

    def __init__(self, *, ignore_label: Sequence[int] = (), reset: bool = True) -> None:
        super().__init__()
        self.ignore_label = tuple(ignore_label)
        self.reset = reset
        self.reset_state()

    def shapes(self, x: Shape, label: Shape) -> list[Shape]:
        require(len(x) == 4, f"scores {x} have {len(x)} axes, wants 4")
        wants = (x[0], 1, *x[2:])
        require(label == wants, f"labels {label} want to be {wants}")
        return [(1, 1, 1, 3)]

    def reset_state(self) -> None:
        self._counts: Tensor | None = None

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        classes = x.shape[1]
        index = label.detach().squeeze(1).long()
        ignored = torch.zeros_like(index, dtype=torch.bool)
        for value in self.ignore_label:
            ignored |= index == value
        index = index.masked_fill(ignored, 0)
        check_indices(index, classes, "labels")
        # The last of equal scores: the first in reverse.
        guess = classes - 1 - x.detach().flip(1).argmax(1)
        counts = x.new_zeros(classes * classes, dtype=torch.float64)
        counts.scatter_add_(0, (index * classes + guess).flatten(), (~ignored).flatten().double())
        counts = counts.reshape(classes, classes)
        if not self.reset:
            counts = counts if self._counts is None else self._counts + counts
            self._counts = counts
        hits, rows, columns = counts.diagonal(), counts.sum(1), counts.sum(0)
        found = rows > 0
        accuracy = hits.sum() / counts.sum().clamp(min=1)
        recall = (hits / rows.clamp(min=1)).sum() / found.sum().clamp(min=1)
        either = rows + columns - hits
        jaccard = torch.where(hits == either, 1, hits / either.clamp(min=1)).mean()
        return torch.stack((accuracy, recall, jaccard)).to(x.dtype).reshape(1, 1, 1, 3)

    def onnx(self, op: Op, x: str, label: str) -> Values:
        if not self.reset:
            raise UnsupportedError(
                "its counts add up over forward passes, and an ONNX model keeps no state",
                fix="reset: true",
            )
        classes = op.shape(x)[1]
        index = op.to_int(label)
        flat_index = op.Reshape(index, op.ints(-1))
        guess = op.ArgMax(x, axis=1, keepdims=1, select_last_index=1)
        flat_guess = op.Reshape(guess, op.ints(-1))
        # A row of numbers for each pixel: 1 at its label, 1 at its prediction.
        at = op.array("classes", torch.arange(classes).numpy())
        labelled = self._one_hot(op, flat_index, at)
        guessed = self._one_hot(op, flat_guess, at)
        for value in self.ignore_label:
            same = op.Equal(flat_index, op.ints(value))
            kept = op.to_float(op.Not(same))
            column = op.Unsqueeze(kept, op.ints(1))
            labelled = op.Mul(labelled, column)
        rows = op.Transpose(labelled, perm=[1, 0])
        counts = op.MatMul(rows, guessed)
        one = op.scalar(1)
        diagonal = op.Mul(counts, op.array("eye", torch.eye(classes).numpy()))
        hits = op.reduce("ReduceSum", diagonal, (1,), keepdims=0)
        by_label = op.reduce("ReduceSum", counts, (1,), keepdims=0)
        by_guess = op.reduce("ReduceSum", counts, (0,), keepdims=0)
        all_hits = op.ReduceSum(hits, keepdims=0)
        total = op.Max(op.ReduceSum(by_label, keepdims=0), one)
        accuracy = op.Div(all_hits, total)
        share = op.Div(hits, op.Max(by_label, one))
        occur = op.to_float(op.Greater(by_label, op.scalar(0)))
        labels = op.Max(op.ReduceSum(occur, keepdims=0), one)
        recall = op.Div(op.ReduceSum(share, keepdims=0), labels)
        either = op.Sub(op.Add(by_label, by_guess), hits)
        common = op.Div(hits, op.Max(either, one))
        whole = op.Where(op.Equal(hits, either), one, common)
        jaccard = op.ReduceMean(whole, keepdims=0)
        figures = [
            op.Reshape(figure, op.ints(1, 1, 1, 1)) for figure in (accuracy, recall, jaccard)
        ]
        return op.Concat(*figures, axis=3)

    def _one_hot(self, op: Op, index: str, classes: str) -> str:
        column = op.Unsqueeze(index, op.ints(1))
        same = op.Equal(op.to_float(column), classes)
        return op.to_float(same)


class EltwiseAccuracy(
    Layer, type="EltwiseAccuracy", fork="deconvnet", param="eltwise_accuracy_param", bottoms=2
):
    """How many labels N x 1 x H x W are among the `top_k` best of scores N x C x H x W: a share.

    The top is 1 x 1 x 1 x 1. Of equal scores the last class is the best. Labels of `ignore_label`,
    if that is set, do not count; of none the share is NaN.

    Errors: ShapeError where labels and scores differ in N, H or W, or a label is no class.
    Caffe: HyeonwooNoh/caffe, src/caffe/layers/eltwise_accuracy_layer.cpp
    """

    is_metric = True
    fixed_bottoms = (0, 1)

    def __init__(self, *, top_k: int = 1, ignore_label: int | None = None) -> None:
        super().__init__()
        self.top_k, self.ignore_label = top_k, ignore_label

    def shapes(self, x: Shape, label: Shape) -> list[Shape]:
        require(len(x) == 4, f"scores {x} have {len(x)} axes, wants 4")
        wants = (x[0], 1, *x[2:])
        require(label == wants, f"labels {label} want to be {wants}")
        require(self.top_k <= x[1], f"top_k is {self.top_k}, more than the {x[1]} classes")
        return [(1, 1, 1, 1)]

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        index, scores = label.detach().long(), x.detach()
        counts = torch.ones_like(index, dtype=torch.bool)
        if self.ignore_label is not None:
            counts = index != self.ignore_label
        index = index * counts
        check_indices(index, x.shape[1], "labels")
        own = scores.gather(1, index)
        later = torch.arange(x.shape[1], device=x.device)[:, None, None] > index
        better = ((scores > own) | ((scores == own) & later)).sum(1, keepdim=True)
        hits = ((better < self.top_k) & counts).to(x.dtype).sum()
        return (hits / counts.to(x.dtype).sum()).reshape(1, 1, 1, 1)

    def onnx(self, op: Op, x: str, label: str) -> Values:
        index = op.to_int(label)
        counts = op.to_float(op.Equal(index, index))
        if self.ignore_label is not None:
            counts = op.to_float(op.Not(op.Equal(index, op.ints(self.ignore_label))))
        index = op.Mul(index, op.to_int(counts))
        own = op.GatherElements(x, index, axis=1)
        classes = op.array("classes", torch.arange(op.shape(x)[1]).numpy()[None, :, None, None])
        later = op.Greater(classes, op.to_float(index))
        better = op.Or(op.Greater(x, own), op.And(op.Equal(x, own), later))
        above = op.reduce("ReduceSum", op.to_float(better), (1,), keepdims=1)
        among = op.Mul(op.to_float(op.Less(above, op.scalar(self.top_k))), counts)
        share = op.Div(op.ReduceSum(among, keepdims=0), op.ReduceSum(counts, keepdims=0))
        return op.Reshape(share, op.ints(1, 1, 1, 1))
