"""CTCGreedyDecoder, from CRNN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer, Registry
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError

NO_CLASS = -1


class CTCGreedyDecoder(Layer, type="CTCGreedyDecoder", fork="caffe_ocr", param="ctc_decoder_param"):
    """The likeliest class of every step, without blanks and repetitions: N x T x 1 x 1.

    x is T x N x C. A class is left out that is `blank_index` (the last one if that is below 0), and
    with `ctc_merge_repeated` one that is the step's before too. What is left moves to the front,
    and -1 fills the rest. Of equal scores the first class wins.

    Errors: ShapeError for x of another rank.
    Caffe: senlinuc/caffe_ocr, src/caffe/layers/ctc_decoder_layer.cpp
    """

    time_first = True
    fixed_bottoms: ClassVar[tuple[int, ...]] = (0,)

    def __init__(self, *, blank_index: int = 0, ctc_merge_repeated: bool = True) -> None:
        super().__init__()
        self.blank_index, self.merges = blank_index, ctc_merge_repeated

    @classmethod
    def meant_by(cls, layer: Any, registry: Registry) -> type[Layer]:
        return CTCSequenceAccuracy if len(layer.bottom) == 2 else cls

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) == 3, f"x {x} has {len(x)} axes, wants T x N x C")
        return [(x[1], x[0], 1, 1)]

    def forward(self, x: Tensor) -> Tensor:
        return self.decoded(x.detach())[..., None, None]

    def decoded(self, x: Tensor) -> Tensor:
        """Return the classes, N x T, with -1 behind them."""
        steps, streams, classes = x.shape
        best = x.argmax(2)
        blank = self.blank_index if self.blank_index >= 0 else classes - 1
        kept = best != blank
        if self.merges:
            kept[1:] &= best[1:] != best[:-1]
        # What goes is written behind the end, which is cut off.
        place = (kept.cumsum(0) - 1).where(kept, steps)
        top = x.new_full((steps + 1, streams), NO_CLASS)
        return top.scatter(0, place, best.to(x))[:-1].t()

    def onnx(self, op: Op, x: str) -> Values:
        classes = op.shape(x)[2]
        best = op.ArgMax(x, axis=2, keepdims=0)
        blank = self.blank_index if self.blank_index >= 0 else classes - 1
        kept = op.Not(op.Equal(best, op.const(np.array(blank))))
        steps = op.Slice(op.Shape(best), op.ints(0), op.ints(1))
        if self.merges:
            none = op.Sub(op.Slice(best, op.ints(0), op.ints(1), op.ints(0)), op.ints(1))
            before = op.Concat(none, op.Slice(best, op.ints(0), op.ints(-1), op.ints(0)), axis=0)
            kept = op.And(kept, op.Not(op.Equal(best, before)))
        count = op.CumSum(op.to_int(kept), op.const(np.array(0)))
        place = op.Where(kept, op.Sub(count, op.ints(1)), steps)
        shape = op.Add(op.Shape(best), op.ints(1, 0))
        empty = op.Expand(op.scalar(NO_CLASS), shape)
        filled = op.ScatterElements(empty, place, op.to_float(best), axis=0)
        top = op.Slice(filled, op.ints(0), op.ints(-1), op.ints(0))
        return op.Unsqueeze(op.Transpose(top, perm=[1, 0]), op.ints(2, 3))


class CTCSequenceAccuracy(CTCGreedyDecoder, bottoms=2):
    """CTCGreedyDecoder with labels: 1 x 2 x 1 x 1, how near its classes are, and how often equal.

    A label, N x L, ends at the first value below 0, and its blanks do not count. Two sequences'
    distance is that of Levenshtein over the longer one's length; the first value is 1 minus the
    mean, where nothing in both counts as no distance.

    Caffe: senlinuc/caffe_ocr, src/caffe/layers/ctc_decoder_layer.cpp
    """

    is_metric = True
    fixed_bottoms = (0, 1)

    def shapes(self, x: Shape, label: Shape) -> list[Shape]:  # type: ignore[override]
        super().shapes(x)
        require(label[0] == x[1], f"the labels {label} are not one for each of {x[1]} sequences")
        return [(1, 2, 1, 1)]

    def forward(self, x: Tensor, label: Tensor) -> Tensor:  # type: ignore[override]
        blank = self.blank_index if self.blank_index >= 0 else x.shape[2] - 1
        found = [[int(c) for c in row if c >= 0] for row in self.decoded(x.detach()).tolist()]
        wanted = []
        for row in label.detach().flatten(1).tolist():
            end = next((at for at, value in enumerate(row) if value < 0), len(row))
            wanted.append([c for value in row[:end] if (c := int(0.5 + value)) != blank])
        parts = [
            distance(a, b) / max(len(a), len(b), 1) for a, b in zip(wanted, found, strict=True)
        ]
        equal = sum(a == b != [] for a, b in zip(wanted, found, strict=True))
        count = len(parts)
        return x.new_tensor([1 - sum(parts) / count, equal / count]).reshape(1, 2, 1, 1)

    def onnx(self, op: Op, x: str, label: str) -> Values:  # type: ignore[override]
        raise UnsupportedError("it measures, and an exported model leaves it out")


def distance(a: Sequence[int], b: Sequence[int]) -> int:
    """Return Levenshtein's distance: the least number of changes that make b of a."""
    row = list(range(len(b) + 1))
    for i, value in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (value != other))
    return row[-1]
