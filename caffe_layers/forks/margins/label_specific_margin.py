"""LabelSpecificMargin, happynear's margins of angles before AM-Softmax."""

from __future__ import annotations

from dataclasses import dataclass
from math import pi, prod
from typing import Any

import torch
from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.arithmetic.indices import check_indices
from caffe_layers.base.checks import require
from caffe_layers.base.filler import Filler
from caffe_layers.base.message import fork_field, is_set
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .label_specific import LabelSpecific

NEAR_ONE = 1e-4
"""How far from -1 and 1 cosines are kept, and angles from pi."""

KEPT = 0.99
"""How much of the running means stays in a pass."""


@dataclass(frozen=True)
class First(Filler):
    """A value in front, and 0 behind it."""

    @torch.no_grad()
    def fill(self, blob: Tensor, generator: torch.Generator | None = None) -> None:
        blob.zero_()[0] = self.value


class LabelSpecificMargin(
    LabelSpecific,
    type="LabelSpecificMargin",
    fork="happynear",
    param="label_specific_margin_param",
    bottoms=(1, 3),
    tops=(1, 2),
):
    """`top = cos(angle + m)` at each sample's label, x elsewhere, x being cosines N x D.

    There are N labels. HARD adds m degrees, `x cos(m) - sqrt(1 - x^2) sin(m)` of an x kept 1e-4
    within -1 and 1; SOFT multiplies the angle, of at most pi - 1e-4 where m times it is more. Where
    m is 0 the top is x. The gradient is kept within 0 and 2, and is 1 with `pass_bp`. In TEST the
    top is x, whatever `margin_on_test` says; `reset_margin` is not used.

    m is the first value of the blob `margin`, `margin_base` to begin with. In TRAIN it is in the
    i-th pass after `iteration` (from 0) `margin_base + (1 + gamma * i)^power - 1` where the
    definition says `margin_base`, and at most `margin_max` where it says that. With `auto_tune` and
    a second top, m is half of what the mean angle of all other columns is above that of the labels,
    in degrees: running means, the blob's two further values. A third bottom's first value is m in
    either phase. The second top is m, 1; with `auto_tune` m and the two means, 3, in TEST those of
    the batch.

    Errors: ShapeError for other numbers of labels, a label that is no column, and `auto_tune` with
    a third bottom and a second top, where Caffe writes beyond its memory.
    Caffe: happynear/caffe-windows at c4c0acc6 (branch experiment; up to a9de66d9 the gradient had a
    wrong sign), src/caffe/layers/label_specific_margin.cu, the code for GPUs
    """

    in_test = False
    margin: Tensor

    def __init__(
        self,
        *,
        type: str = "HARD",
        margin_base: float | None = None,
        margin_max: float | None = None,
        power: float = 1.0,
        gamma: float = 1.0,
        iteration: int = 0,
        reset_margin: bool = False,
        margin_on_test: bool = False,
        auto_tune: bool = False,
        pass_bp: bool = False,
        bottoms: int = 2,
        tops: int = 1,
    ) -> None:
        """Take `reset_margin` and `margin_on_test`, which are not used."""
        super().__init__(iteration, tops=tops)
        self.soft, self.pass_bp = type == "SOFT", pass_bp
        self.base = None if margin_base is None else float32(margin_base)
        self.most = None if margin_max is None else float32(margin_max)
        self.power, self.gamma = float32(power), float32(gamma)
        self.tunes, self.given = auto_tune and tops == 2, bottoms == 3
        require(
            not (self.tunes and self.given),
            "auto_tune with a third bottom and a second top: Caffe writes beyond that top",
        )
        self.add_blob(
            "margin", (3 if auto_tune else 1,), First(value=self.base or 0.0), learnable=False
        )

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> LabelSpecificMargin:
        param = fork_field(layer, "label_specific_margin_param")
        said = {
            name: getattr(param, name) if param is not None and is_set(param, name) else None
            for name in ("margin_base", "margin_max")
        }
        counts = {"bottoms": len(bottoms), "tops": len(layer.top)}
        return cls(**cls.fields(layer, **said, **counts))

    @classmethod
    def does_without_labels(cls, layer: Any) -> bool:
        param = fork_field(layer, "label_specific_margin_param")
        tunes = len(layer.top) == 2 and param is not None and param.auto_tune
        return len(layer.bottom) == 2 and not tunes

    def shapes(self, x: Shape, *bottoms: Shape) -> list[Shape]:
        tops = super().shapes(x, *bottoms[:1])
        return [tops[0], (3 if self.tunes else 1,)] if self.tells else tops

    def forward(self, x: Tensor, *bottoms: Tensor) -> Tensor | tuple[Tensor, ...]:
        given = bottoms[1].detach().flatten()[:1] if self.given else None
        if not self.training:
            return (x, self._told(x, bottoms, given)) if self.tells else x
        rows, index = self._columns(x, bottoms)
        margin = self._advance(rows, index, given)
        own = rows.gather(1, index)
        top = rows.scatter(1, index, self._moved(own, margin[0])).reshape(x.shape)
        return (top, margin if self.tunes else margin[:1]) if self.tells else top

    def _columns(self, x: Tensor, bottoms: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Return x as N x D, and each sample's label, N x 1."""
        require(bool(bottoms), "there are no labels, which it wants here")
        rows = x.reshape(x.shape[0], -1)
        index = bottoms[0].detach().reshape(-1, 1).long()
        check_indices(index, rows.shape[1], "labels")
        return rows, index

    @torch.no_grad()
    def _advance(self, rows: Tensor, index: Tensor, given: Tensor | None) -> Tensor:
        """Return this pass's blob, which it becomes."""
        margin = self.margin.clone()
        if self.base is not None:
            grown = (1 + self.gamma * (self.counted(rows) - 1)) ** self.power
            margin[0] = self.base + grown - 1
        if self.most is not None:
            margin[0] = margin[0].clamp(max=self.most)
        if self.tunes:
            means = torch.cat(_mean_angles(rows, index))
            # Where nothing says `margin_base` Caffe counts no passes: they stay at `iteration`.
            first = int(self.passes) == 1
            margin[1:] = means if first else KEPT * margin[1:] + (1 - KEPT) * means
            margin[0] = (margin[2] - margin[1]) / 2
        if given is not None:
            margin[0] = given[0]
        self.margin.copy_(margin)
        return margin

    def _moved(self, own: Tensor, margin: Tensor) -> Tensor:
        """Return cosines N x 1 with the margin."""
        with torch.no_grad():
            kept = own.clamp(-1 + NEAR_ONE, 1 - NEAR_ONE)
            sine = (1 - kept.square()).sqrt()
            if self.soft:
                angle = own.acos()
                angle = torch.where(margin * angle > pi - NEAR_ONE, pi - NEAR_ONE, angle)
                moved, slope = (margin * angle).cos(), margin * (margin * angle).sin() / sine
            else:
                turn = margin / 180 * pi
                moved = kept * turn.cos() - sine * turn.sin()
                slope = turn.cos() + kept / sine * turn.sin()
            slope = torch.ones_like(slope) if self.pass_bp else slope.clamp(0, 2)
            none = margin == 0
            moved, slope = torch.where(none, own, moved), torch.where(none, 1, slope)
        return gradient_of(moved, own * slope)

    def _told(self, x: Tensor, bottoms: tuple[Tensor, ...], given: Tensor | None) -> Tensor:
        """Return the second top in TEST."""
        margin = self.margin[:1] if given is None else given
        if not self.tunes:
            return margin
        return torch.cat([margin, *_mean_angles(*self._columns(x, bottoms))])

    def onnx(self, op: Op, x: str, *bottoms: str) -> Values:
        top = op.Identity(x)
        if not self.tells:
            return top
        if self.given:
            return top, op.Slice(op.Reshape(bottoms[1], op.ints(-1)), op.ints(0), op.ints(1))
        margin = op.Slice(op.weight(self, "margin"), op.ints(0), op.ints(1))
        if not self.tunes:
            return top, margin
        require(bool(bottoms), "there are no labels, which it wants here")
        width = prod(op.shape(x)[1:])
        degrees = op.Mul(op.Acos(op.Reshape(x, op.ints(-1, width))), op.scalar(180 / pi))
        index = op.to_int(op.Reshape(bottoms[0], op.ints(-1, 1)))
        own = op.reduce("ReduceMean", op.GatherElements(degrees, index, axis=1), (0, 1), keepdims=0)
        # The mean of all columns is (own + (D - 1) others) / D.
        total = op.reduce("ReduceMean", degrees, (0, 1), keepdims=0)
        others = op.Div(op.Sub(op.Mul(total, op.scalar(width)), own), op.scalar(width - 1))
        means = (op.Reshape(mean, op.ints(1)) for mean in (own, others))
        return top, op.Concat(margin, *means, axis=0)


def _mean_angles(rows: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """Return the mean angle of the labels' columns, and of all others, in degrees: 1 each."""
    degrees = rows.detach().acos() * (180 / pi)
    own = degrees.gather(1, index)
    others = (degrees.sum() - own.sum()) / (degrees.numel() - own.numel())
    return own.mean().reshape(1), others.reshape(1)
