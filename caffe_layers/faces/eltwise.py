"""Eltwise, with happynear's SORT."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..checks import require
from ..layer import LAYERS, Layer, Shape
from ..message import enum_name


class FaceEltwise(Layer, type="Eltwise", fork="happynear", bottoms=(2, None)):
    """`top = product over the bottoms of (x + 1)`: what `operation` SORT does, despite its name.

    `in_place` says that the top overwrites the first bottom, which Caffe sets to 1 before it reads
    it.

    Errors: ShapeError for bottoms of different shapes.
    Caffe: happynear/caffe-windows, src/caffe/layers/eltwise_layer.cpp
    """

    def __init__(self, *, in_place: bool = False) -> None:
        super().__init__()
        self.in_place = in_place

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return enum_name(layer.eltwise_param, "operation") == "SORT"

    @classmethod
    def meant_by(cls, layer: Any) -> type[Layer]:
        return cls if cls.fits(layer, None) else LAYERS["Eltwise"]["bvlc"]

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> FaceEltwise:
        count = len(layer.eltwise_param.coeff)
        require(count in {0, len(bottoms)}, f"{count} coeff, wants one for each bottom, or none")
        return cls(in_place=layer.top[0] == layer.bottom[0])

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        first = bottoms[0]
        for bottom in bottoms:
            require(bottom == first, f"bottoms {first} and {bottom} differ")
        return [first]

    def forward(self, *bottoms: Tensor) -> Tensor:
        top = torch.full_like(bottoms[0], 2) if self.in_place else bottoms[0] + 1
        for x in bottoms[1:]:
            top = top * (x + 1)
        return top

    def onnx(self, op: Any, *bottoms: str) -> Any:
        one = op.scalar(1)
        more = [op.Add(x, one, name=f"more:{index}") for index, x in enumerate(bottoms)]
        product = op.scalar(2) if self.in_place else more[0]
        for index, x in enumerate(more[1:-1]):
            product = op.Mul(product, x, name=f"product:{index}")
        return op.Mul(product, more[-1])
