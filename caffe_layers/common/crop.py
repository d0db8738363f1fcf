"""Crop, and RCF's AutoCrop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from caffe_layers.base.checks import canonical_axis, require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


class Crop(Layer, type="Crop", param="crop_param", bottoms=2):
    """The part of the first bottom that has the second's sizes from `axis` on.

    It starts at `offset`: one number for each of these axes, one for all, or none for 0. The axes
    before stay whole. Of the second bottom only the shape matters; it gets no gradient.

    Errors: ShapeError for a part that reaches beyond the first bottom.
    Caffe: BVLC/caffe, src/caffe/layers/crop_layer.cpp
    """

    fixed_bottoms = (1,)

    def __init__(self, *, axis: int = 2, offset: int | Sequence[int] = 0) -> None:
        super().__init__()
        self.axis = axis
        self.offset = (offset,) if isinstance(offset, int) else tuple(offset)

    def _offsets(self, rank: int) -> tuple[int, tuple[int, ...]]:
        """Return the first axis that is cropped, and an offset for it and each one after it."""
        axis = canonical_axis(self.axis, rank)
        axes = rank - axis
        given = len(self.offset)
        require(given in (1, axes), f"offset {self.offset} has {given} numbers, wants 1 or {axes}")
        return axis, self.offset * axes if given == 1 else self.offset

    def shapes(self, x: Shape, reference: Shape) -> list[Shape]:
        axis, offsets = self._offsets(len(x))
        if len(reference) < len(x):
            raise ShapeError(f"reference {reference} has fewer axes than bottom {x}")
        sizes = reference[axis : len(x)]
        for index, (have, size, offset) in enumerate(zip(x[axis:], sizes, offsets, strict=True)):
            if offset + size > have:
                raise ShapeError(
                    f"axis {axis + index}: {size} from {offset} on does not fit into {have}"
                )
        top = (*x[:axis], *sizes)
        return [top]

    def forward(self, x: Tensor, reference: Tensor) -> Tensor:
        axis, offsets = self._offsets(x.dim())
        parts = [
            slice(offset, offset + size)
            for offset, size in zip(offsets, reference.shape[axis : x.dim()], strict=True)
        ]
        return x[(slice(None),) * axis + tuple(parts)]

    def onnx(self, op: Op, x: str, reference: str) -> Values:
        rank = len(op.shape(x))
        axis, offsets = self._offsets(rank)
        axes = range(axis, rank)
        known = not any((*op.dynamic(x)[axis:], *op.dynamic(reference)[axis:rank]))
        if known and op.shape(x)[axis:] == op.shape(reference)[axis:rank]:
            return x
        starts = op.ints(*offsets)
        if any(op.dynamic(reference)[axis:rank]):
            ends = op.Add(op.Gather(op.Shape(reference), op.ints(*axes)), starts)
        else:
            sizes = op.shape(reference)[axis:rank]
            ends = op.ints(*(o + size for o, size in zip(offsets, sizes, strict=True)))
        return op.Slice(x, starts, ends, op.ints(*axes))

    def python(self, py: Py, x: str, reference: str) -> str:
        axis, offsets = self._offsets(len(py.shapes[0]))
        parts = [":"] * axis + [
            f"{offset}:{offset} + {reference}.shape[{at}]"
            for at, offset in enumerate(offsets, axis)
        ]
        return f"{x}[{', '.join(parts)}]"


class AutoCrop(Crop, type="AutoCrop", fork="future", bottoms=2):
    """The part of the first bottom that has the second's height and width.

    Where it begins is computed by coordinate maps when a network is read, as by the Crop of
    Caffe's branch `future`, whose name it was (`prototxt.passes.align_crops`).

    Errors: ShapeError for a part that reaches beyond the first bottom.
    Caffe: yun-liu/rcf, src/caffe/layers/auto_crop_layer.cpp
    """

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> AutoCrop:
        require(len(layer.crop_param.offset) > 0, "its offset is a network's, wants one around it")
        return cls(**cls.fields(layer))
