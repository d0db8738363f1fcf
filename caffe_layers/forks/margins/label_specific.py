"""Layers that change the column of each sample's label, and leave the others."""

from __future__ import annotations

from math import prod
from typing import Any

from torch import Tensor

from caffe_layers.arithmetic.indices import check_indices
from caffe_layers.base.checks import require
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .passes import CountsPasses


class LabelSpecific(CountsPasses):
    """Base of `top[n, label[n]] = g(x[n, label[n]])`, x elsewhere, for N x D and N labels.

    With `keeps` a negative label leaves its sample as it is; otherwise it is an error. What the
    axes of x behind the first hold are its D columns. A layer that does nothing in TEST returns x,
    and may lack the labels there.
    """

    fixed_bottoms = (1,)
    in_test = True
    """Whether the columns change in TEST too."""
    keeps = False

    def __init__(self, iteration: int = 0, *, tops: int = 1) -> None:
        super().__init__(iteration)
        self.tells = tops == 2

    @classmethod
    def does_without_labels(cls, layer: Any) -> bool:
        return not cls.in_test

    def shapes(self, x: Shape, *labels: Shape) -> list[Shape]:
        wants = x[0] if x else 0
        for label in labels:
            require(
                prod(label) == wants, f"labels {label} are {prod(label)}, wants {wants}, N of {x}"
            )
        return [x, (1,)] if self.tells else [x]

    @property
    def acts(self) -> bool:
        """Tell whether anything changes."""
        return self.in_test or self.training

    def change(self, own: Tensor) -> Tensor:
        """Return g of the labels' columns, N x 1."""
        raise NotImplementedError

    def emit_change(self, op: Op, own: str) -> str:
        """Append what `change` does in TEST."""
        raise NotImplementedError

    def change_rows(self, rows: Tensor, index: Tensor) -> Tensor:
        """Return N x D rows with the labels' columns changed; a negative index is none's."""
        column = index.clamp(min=0)
        own = rows.gather(1, column)
        changed = self.change(own)
        return rows.scatter(1, column, changed.where(index >= 0, own) if self.keeps else changed)

    def told(self, like: Tensor) -> Tensor:
        """Return the second top, 1 value."""
        raise NotImplementedError

    def forward(self, x: Tensor, *labels: Tensor) -> Tensor | tuple[Tensor, ...]:
        top = x
        if self.acts:
            require(bool(labels), "there are no labels, which it wants here")
            rows = x.reshape(x.shape[0], -1)
            index = labels[0].detach().reshape(-1, 1).long()
            check_indices(index.clamp(min=0) if self.keeps else index, rows.shape[1], "labels")
            top = self.change_rows(rows, index).reshape(x.shape)
        return (top, self.told(x)) if self.tells else top

    def onnx(self, op: Op, x: str, *labels: str) -> Values:
        if not self.acts:
            top = op.Identity(x)
        else:
            width = prod(op.shape(x)[1:])
            rows = op.Reshape(x, op.ints(-1, width))
            index = op.to_int(op.Reshape(labels[0], op.ints(-1, 1)))
            top = op.reshape_to_top(self.emit_rows(op, rows, index))
        return (top, self.emit_told(op)) if self.tells else top

    def emit_rows(self, op: Op, rows: str, index: str) -> str:
        """Append what `change_rows` does in TEST."""
        column = op.Max(index, op.ints(0)) if self.keeps else index
        own = op.GatherElements(rows, column, axis=1)
        changed = self.emit_change(op, own)
        if self.keeps:
            changed = op.Where(op.Less(index, op.ints(0)), own, changed)
        return op.ScatterElements(rows, column, changed, axis=1)

    def emit_told(self, op: Op) -> str:
        """Append the second top in TEST."""
        raise NotImplementedError
