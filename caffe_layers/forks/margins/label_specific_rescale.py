"""LabelSpecificRescale, of NormFace."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from caffe_layers.base.message import fork_field, is_set
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape

from .label_specific import LabelSpecific


class LabelSpecificRescale(
    LabelSpecific,
    type="LabelSpecificRescale",
    fork="happynear",
    param="label_specific_rescale_param",
    bottoms=(1, 2),
    tops=(1, 2),
):
    """`top = p x` at each sample's label, `negative_weight * x` elsewhere, x being N x D.

    p is `positive_weight`, and in TRAIN, where the definition says `positive_weight_base`,
    `positive_weight_base * (1 + gamma * i)^-power` for the passes i after `iteration`, between
    `positive_weight_min` and `positive_weight_max` where these are said. With `bias_fix` it is
    `p x + 1 - p`, with `power_on_positive` `sign(x) |x|^p`; with `for_ip` only where x is above 0.
    p is the second top, 1, if there is one. In TEST the top is x without `rescale_test`.

    Errors: ShapeError for other numbers of labels, and for a label that is no column.
    Caffe: happynear/caffe-windows at 353d7b3c, src/caffe/layers/label_specific_rescale.cpp
    """

    def __init__(
        self,
        *,
        positive_weight: float = 1.0,
        negative_weight: float = 1.0,
        positive_lower_bound: float = 0.0,
        negative_upper_bound: float = 0.0,
        rescale_test: bool = False,
        for_ip: bool = False,
        positive_weight_base: float | None = None,
        gamma: float = 0.0,
        power: float = 1.0,
        positive_weight_min: float | None = None,
        positive_weight_max: float | None = None,
        iteration: int = 0,
        bias_fix: bool = False,
        power_on_positive: bool = False,
        tops: int = 1,
    ) -> None:
        """Take `positive_lower_bound` and `negative_upper_bound`, which are not used."""
        super().__init__(iteration, tops=tops)
        self.positive_weight, self.negative_weight = map(
            float32, (positive_weight, negative_weight)
        )
        self.in_test, self.for_ip = rescale_test, for_ip
        self.base = None if positive_weight_base is None else float32(positive_weight_base)
        self.gamma, self.power = float32(gamma), float32(power)
        self.least = None if positive_weight_min is None else float32(positive_weight_min)
        self.most = None if positive_weight_max is None else float32(positive_weight_max)
        self.bias_fix, self.power_on_positive = bias_fix, power_on_positive

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> LabelSpecificRescale:
        param = fork_field(layer, "label_specific_rescale_param")
        said = {}
        for name in ("base", "min", "max"):
            field = f"positive_weight_{name}"
            held = param is not None and is_set(param, field)
            said[field] = getattr(param, field) if held else None
        return cls(tops=len(layer.top), **cls.fields(layer, **said))

    @classmethod
    def does_without_labels(cls, layer: Any) -> bool:
        param = fork_field(layer, "label_specific_rescale_param")
        return param is None or not param.rescale_test

    def _advance(self, like: Tensor) -> Tensor:
        weight = like.new_tensor(self.positive_weight)
        if self.base is not None and self.training:
            weight = self.base * (1 + self.gamma * self.counted(like)) ** -self.power
            if self.least is not None:
                weight = weight.clamp(min=self.least)
            if self.most is not None:
                weight = weight.clamp(max=self.most)
        self._weight = weight.detach().reshape(1)
        return weight

    def change_rows(self, rows: Tensor, index: Tensor) -> Tensor:
        own = rows.gather(1, index)
        others = rows * self.negative_weight
        return others.scatter(1, index, self.change(own))

    def change(self, own: Tensor) -> Tensor:
        weight = self._advance(own)
        if self.power_on_positive:
            # The slope of a power below 1 is infinite at 0, where the other branch is taken.
            changed = torch.where(weight == 1, own, own.sign() * own.abs() ** weight)
        else:
            changed = own * weight + (1 - weight if self.bias_fix else 0)
        return changed.where(own.detach() > 0, own) if self.for_ip else changed

    def told(self, like: Tensor) -> Tensor:
        return self._weight if self.acts else like.new_full((1,), self.positive_weight)

    def emit_rows(self, op: Op, rows: str, index: str) -> str:
        own = op.GatherElements(rows, index, axis=1)
        others = op.Mul(rows, op.scalar(self.negative_weight))
        return op.ScatterElements(others, index, self.emit_change(op, own), axis=1)

    def emit_change(self, op: Op, own: str) -> str:
        weight = self.positive_weight
        if self.power_on_positive:
            changed = op.Mul(op.Sign(own), op.Pow(op.Abs(own), op.scalar(weight)))
        else:
            changed = op.Mul(own, op.scalar(weight))
            if self.bias_fix:
                changed = op.Add(changed, op.scalar(1 - weight))
        return op.Where(op.Greater(own, op.scalar(0)), changed, own) if self.for_ip else changed

    def emit_told(self, op: Op) -> str:
        return op.floats([self.positive_weight])
