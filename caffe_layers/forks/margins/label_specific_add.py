"""LabelSpecificAdd, of happynear's AM-Softmax."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from caffe_layers.base.message import fork_field, is_set
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape

from .label_specific import LabelSpecific


class LabelSpecificAdd(
    LabelSpecific,
    type="LabelSpecificAdd",
    fork="happynear",
    param="label_specific_add_param",
    bottoms=(1, 2),
    tops=(1, 2),
):
    """`top = x + bias` at each sample's label where x is above `-bias`, x elsewhere.

    x is N x D (x H x W), and there are N labels. Where the definition says `bias_base`, the bias is
    `bias_base + (1 + bias_gamma * i)^bias_power - 1` between `bias_min` and `bias_max`, for the
    passes i from `iteration` on. It is the second top, 1, if there is one. The gradient passes as
    it is. In TEST the top is x, whatever `transform_test` says, and the second top 0.

    Errors: ShapeError for other numbers of labels, and for a label that is no column.
    Caffe: happynear/caffe-windows, src/caffe/layers/label_specific_add.cpp
    """

    in_test = False

    def __init__(
        self,
        *,
        bias: float = 0.0,
        transform_test: bool = False,
        bias_base: float = 0.0,
        bias_gamma: float = 0.0,
        bias_power: float = 1.0,
        bias_min: float = 0.0,
        bias_max: float = 0.0,
        iteration: int = 0,
        anneals: bool = False,
        tops: int = 1,
    ) -> None:
        super().__init__(iteration, tops=tops)
        self.bias, self.transform_test, self.anneals = float32(bias), transform_test, anneals
        self.bias_base, self.bias_gamma = float32(bias_base), float32(bias_gamma)
        self.bias_power = float32(bias_power)
        self.bias_min, self.bias_max = float32(bias_min), float32(bias_max)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> LabelSpecificAdd:
        param = fork_field(layer, "label_specific_add_param")
        anneals = param is not None and is_set(param, "bias_base")
        return cls(tops=len(layer.top), anneals=anneals, **cls.fields(layer))

    def change(self, own: Tensor) -> Tensor:
        bias = self._advance(own)
        return own + bias.where(own.detach() > -bias, own.new_zeros(()))

    def _advance(self, like: Tensor) -> Tensor:
        bias = like.new_tensor(self.bias)
        if self.anneals:
            grown = (1 + self.bias_gamma * (self.counted(like) - 1)) ** self.bias_power
            bias = (self.bias_base + grown - 1).clamp(min=self.bias_min).clamp(max=self.bias_max)
        self._bias = bias.detach().reshape(1)
        return bias

    def told(self, like: Tensor) -> Tensor:
        return self._bias if self.acts else like.new_zeros(1)

    def emit_told(self, op: Op) -> str:
        return op.floats([0.0])
