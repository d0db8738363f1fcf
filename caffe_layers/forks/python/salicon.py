"""OpenSALICON's Python layers: images of a given shape, and maps resized to one."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.data.fed import Fed
from caffe_layers.data.python import register_python
from prototxt.errors import FormatError, ShapeError


@register_python("CustomData", "CustomData")
class ShapedData(Fed, bottoms=0):
    """One top, which is fed, of the shape that `param_str` gives: `1,3,600,800`.

    Errors: FormatError for what is no shape.
    Caffe: CLT29/OpenSALICON, CustomData.py
    """

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> ShapedData:
        return cls(_shape(layer))


@register_python("custom_interpolation_layer", "custom_interpolation_layer")
class CustomInterpolation(Layer, bottoms=1):
    """N x C x H x W resized bilinearly to `param_str`'s height and width; corners stay corners.

    Row i of H' lies at `i (H - 1) / (H' - 1)` in the bottom, as SciPy's zoom of order 1 has it.

    Errors: ShapeError for other images or channels than the bottom's, and for a size of 1.
    Caffe: CLT29/OpenSALICON, custom_interpolation_layer.py
    """

    def __init__(self, top: Shape) -> None:
        super().__init__()
        self.top = top

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> CustomInterpolation:
        return cls(_shape(layer))

    def shapes(self, x: Shape) -> list[Shape]:
        if len(x) != 4 or x[:2] != self.top[:2]:
            raise ShapeError(f"bottom {x} does not resize to {self.top}: other images or channels")
        require(min(*x[2:], *self.top[2:]) > 1, f"{x} to {self.top}: wants 2 rows and columns")
        return [self.top]

    def forward(self, x: Tensor) -> Tensor:
        return F.interpolate(x, self.top[2:], mode="bilinear", align_corners=True)

    def onnx(self, op: Op, x: str) -> Values:
        return op.Resize(
            x,
            "",
            "",
            op.ints(*self.top),
            mode="linear",
            coordinate_transformation_mode="align_corners",
        )


def _shape(layer: Any) -> Shape:
    text = layer.python_param.param_str
    if not re.fullmatch(r"\s*\d+(\s*,\s*\d+){3}\s*", text):
        raise FormatError(f"param_str {text!r} is no shape of four sizes")
    return tuple(map(int, text.split(",")))
