"""Input: blobs that come from outside."""

from __future__ import annotations

from typing import Any

from caffe_layers.base.checks import require
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

from .fed import Fed


class Input(Fed, type="Input", bottoms=0, tops=(1, None)):
    """Tops are fed by name; `input_param.shape` gives one shape for all tops, or one for each.

    Caffe: BVLC/caffe, src/caffe/layers/input_layer.cpp
    """

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Input:
        shapes: list[Shape | None] = [tuple(shape.dim) for shape in layer.input_param.shape]
        tops = len(layer.top)
        if len(shapes) not in (0, 1, tops):
            raise ShapeError(
                f"{len(shapes)} shapes for {tops} tops, wants none, one, or one for each"
            )
        for shape in shapes:
            require(min(shape or (0,)) >= 0, f"shape {shape} has a negative size")
        if len(shapes) != tops:
            shapes = (shapes or [None]) * tops
        return cls(*shapes)
