"""An operation that a fork adds to Eltwise's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer, Registry
from caffe_layers.base.message import enum_name
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


class EltwiseOperation(Layer, param="eltwise_param"):
    """Base of one more `operation` of Eltwise: with another the layer is BVLC's.

    `in_place` says that the top overwrites the first bottom, which Caffe sets before it reads it.

    Errors: ShapeError for bottoms of different shapes, and unless there are as many coefficients.
    """

    family = "sum"
    operation: ClassVar[str]

    def __init__(self, *, in_place: bool = False) -> None:
        super().__init__()
        self.in_place = in_place

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return enum_name(layer.eltwise_param, "operation") == cls.operation

    @classmethod
    def meant_by(cls, layer: Any, registry: Registry) -> type[Layer]:
        return cls if cls.fits(layer, None) else registry.layers["Eltwise"]["bvlc"]

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> EltwiseOperation:
        count, wants = len(layer.eltwise_param.coeff), len(bottoms)
        if count not in (0, wants):
            raise ShapeError(f"{count} coeff, wants one for each of the {wants} bottoms, or none")
        return cls(in_place=layer.top[0] == layer.bottom[0], **cls.fields(layer))

    @property
    def details(self) -> list[str]:
        return [self.operation]

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        first = bottoms[0]
        for bottom in bottoms:
            require(bottom == first, f"bottoms {first} and {bottom} differ")
        return [first]
