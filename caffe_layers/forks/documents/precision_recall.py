"""PR, of document binarization: its shapes alone."""

from __future__ import annotations

from typing import Any

from caffe_layers.base.shape import Shape
from caffe_layers.base.shapes_only import ShapesOnly


class PrecisionRecall(ShapesOnly, type="PR", fork="documents", bottoms=(2, None), tops=(1, None)):
    """Precision, recall and what comes of them, a number each.

    Errors: UnsupportedError on running.
    Caffe: ctensmeyer/caffe, src/caffe/layers/precision_recall_layer.cpp
    """

    is_metric = True
    reason = "measures and is not computed here"
    fix = "--deploy leaves it out"

    def __init__(self, *, tops: int) -> None:
        super().__init__()
        self.count = tops

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> PrecisionRecall:
        return cls(tops=len(layer.top))

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        return [()] * self.count
