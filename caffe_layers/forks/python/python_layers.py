"""The constants `python_layers.Meshgrid` and `MeanVals` of appearance-flow."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from caffe_layers.data.param_str import read_param_str
from caffe_layers.data.python import register_python

MEANS = (104.0, 117.0, 123.0)
SIZES = ("width", "height", "batch")


class Constant(Layer, bottoms=0):
    """Base of constant tops of `batch` equal images of `height` x `width`, as `param_str` says."""

    is_source = True
    own_values = True
    constant_tops = True

    def __init__(self, *, width: int, height: int, batch: int) -> None:
        super().__init__()
        image = self.image(height, width)
        self.batch = batch
        self.register_buffer("value", image, persistent=False)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Constant:
        param = read_param_str(layer.python_param.param_str, SIZES)
        for size in SIZES:
            require(size in param, f"param_str has no {size}")
        return cls(**param)

    def image(self, height: int, width: int) -> Tensor:
        """Return one image, C x H x W."""
        raise NotImplementedError

    def shapes(self) -> list[Shape]:
        return [(self.batch, *self.value.shape)]

    def forward(self) -> Tensor:
        image: Tensor = self.value
        return image.expand(self.batch, *image.shape).clone()

    def onnx(self, op: Op) -> Values:
        image = op.array("value", self.value[None].double().cpu().numpy())
        return op.Expand(image, op.ints(self.batch, *self.value.shape))


@register_python("python_layers", "Meshgrid")
class Meshgrid(Constant, bottoms=0):
    """N x 2 x H x W: the column and the row of every place.

    Caffe: tinghuiz/appearance-flow, caffe/python/python_layers.py
    """

    def image(self, height: int, width: int) -> Tensor:
        columns, rows = torch.arange(width), torch.arange(height)[:, None]
        return torch.stack((columns.expand(height, -1), rows.expand(-1, width))).float()


@register_python("python_layers", "MeanVals")
class MeanVals(Constant, bottoms=0):
    """N x 3 x H x W: 104, 117 and 123 everywhere.

    Caffe: tinghuiz/appearance-flow, caffe/python/python_layers.py
    """

    def image(self, height: int, width: int) -> Tensor:
        return torch.tensor(MEANS)[:, None, None].expand(-1, height, width).clone()
