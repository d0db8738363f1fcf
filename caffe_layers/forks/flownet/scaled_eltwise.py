"""Eltwise of one bottom, as FlowNet2 takes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer, Registry
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape
from caffe_layers.common.scaling import is_scaling


class ScaledEltwise(
    Layer, type="Eltwise", fork="flownet2", bottoms=(1, None), param="eltwise_param"
):
    """`top = coeff[0] * bottom`: FlowNet2's SUM takes one bottom too, and scales it.

    With more bottoms it is BVLC's; PROD and MAX read a second one in FlowNet2 too.

    Errors: ShapeError for more coefficients, and for a top that overwrites the bottom: Caffe clears
    it before it reads it.
    Caffe: lmb-freiburg/flownet2, include/caffe/layers/eltwise_layer.hpp
    """

    family = "scale"

    def __init__(self, *, coeff: Sequence[float] = (), in_place: bool = False) -> None:
        super().__init__()
        require(len(coeff) <= 1, f"{len(coeff)} coefficients for 1 bottom, wants none or one")
        fix = "give the top a name of its own"
        require(not in_place, "the top overwrites the only bottom, which Caffe clears", fix=fix)
        self.coeff = float32(coeff[0]) if coeff else 1.0

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return is_scaling(layer)

    @classmethod
    def meant_by(cls, layer: Any, registry: Registry) -> type[Layer]:
        return cls if is_scaling(layer) else registry.layers["Eltwise"]["bvlc"]

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> ScaledEltwise:
        return cls(in_place=layer.top[0] == layer.bottom[0], **cls.fields(layer))

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return x * self.coeff

    def onnx(self, op: Op, x: str) -> Values:
        return op.Mul(x, op.scalar(self.coeff))

    def python(self, py: Py, x: str) -> str:
        return f"{self.coeff} * {x}"
