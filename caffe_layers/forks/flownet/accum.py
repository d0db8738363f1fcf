"""Accum, from FlowNet2."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np
import torch
from torch import Tensor

from caffe_layers.arithmetic.linear_map import (
    Matrix,
    bilinear,
    mapped,
    onnx_mapped,
    require_fixed_sizes,
    require_mappable,
)
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError


class Accum(Layer, type="Accum", fork="flownet2", param="accum_param", bottoms=(1, None)):
    """The channels of all bottoms, N x C x H x W, bilinearly resized to one size.

    Corners stay at corners. The size is the largest height and the largest width; or, where both
    are larger, `top_height` x `top_width`, or the multiples of `size_divisible_by` above. With
    `have_reference` it is the last bottom's, which gives no channels and gets no gradient.

    Errors: ShapeError for bottoms of different N, and for a top of a single row or column, where
    Caffe divides by 0.
    Caffe: lmb-freiburg/flownet2, src/caffe/layers/accum_layer.cpp
    """

    def __init__(
        self,
        *,
        top_height: int = 0,
        top_width: int = 0,
        size_divisible_by: int | None = None,
        have_reference: bool = False,
    ) -> None:
        super().__init__()
        self.top_height, self.top_width = top_height, top_width
        self.size_divisible_by = size_divisible_by
        self.have_reference = have_reference

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Accum:
        reference = layer.accum_param.have_reference
        require(not reference or len(bottoms) > 1, "1 bottom, a reference wants 2")
        return cls(**cls.fields(layer))

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        for shape in bottoms:
            require(len(shape) == 4, f"bottom {shape} has {len(shape)} axes, wants N x C x H x W")
        parts = bottoms[:-1] if self.have_reference else bottoms
        n = bottoms[0][0]
        if not all(part[0] == n for part in parts):
            raise ShapeError(
                f"bottoms {', '.join(map(str, parts))} differ in their number of images"
            )
        sizes = self._sizes(bottoms)
        require(min(sizes) > 1, f"the top would be {sizes}, wants 2 or more rows and columns")
        for part in parts:
            require_mappable(part[2:], sizes)
        return [(n, sum(part[1] for part in parts), *sizes)]

    def _sizes(self, bottoms: tuple[Shape, ...]) -> Shape:
        if self.have_reference:
            return bottoms[-1][2:]
        largest = max(shape[2] for shape in bottoms), max(shape[3] for shape in bottoms)
        wanted = self.top_height, self.top_width
        if (by := self.size_divisible_by) is not None:
            wanted = ceil(largest[0] / by) * by, ceil(largest[1] / by) * by
        larger = wanted[0] > largest[0] and wanted[1] > largest[1]
        return wanted if larger else largest

    def forward(self, *bottoms: Tensor) -> Tensor:
        sizes = self._sizes(tuple(tuple(x.shape) for x in bottoms))
        parts = bottoms[:-1] if self.have_reference else bottoms
        return torch.cat([mapped(x, *_matrices(tuple(x.shape[2:]), sizes)) for x in parts], 1)

    def onnx(self, op: Op, *bottoms: str) -> Values:
        require_fixed_sizes(op, *bottoms)
        sizes = op.shape(op.tops[0])[2:]
        parts = bottoms[:-1] if self.have_reference else bottoms
        resized = [onnx_mapped(op, x, *_matrices(op.shape(x)[2:], sizes)) for x in parts]
        return op.Concat(*resized, axis=1)


def _matrices(spatial: Shape, sizes: Shape) -> tuple[Matrix, Matrix]:
    rows, columns = (
        bilinear(
            np.arange(top, dtype=np.float32) / np.float32(top - 1) * np.float32(size - 1), size
        )
        for size, top in zip(spatial, sizes, strict=True)
    )
    return rows, columns
