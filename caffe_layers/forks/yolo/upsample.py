"""Upsample by repeating, of YOLO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class YoloUpsample(Layer, type="Upsample", fork="yolo"):
    """N x C x H x W becomes N x C x (H s) x (W s) with s = `scale`: every value s x s times.

    A type of this name with two bottoms, of SegNet, puts values at places that a mask names.

    Errors: ShapeError for a scale below 1.
    Caffe: eric612/MobileNet-YOLO, src/caffe/layers/upsample_layer.cpp
    """

    def __init__(self, *, scale: int = 1) -> None:
        super().__init__()
        require(scale > 0, f"scale {scale} wants to be 1 or more")
        self.scale = scale

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return len(layer.bottom) == 1

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> YoloUpsample:
        # Read in SegNet's message too, whose default is another.
        param = layer.upsample_param
        return cls(scale=param.scale if param.HasField("scale") else 1)

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4: N x C x H x W")
        return [(*x[:2], x[2] * self.scale, x[3] * self.scale)]

    def forward(self, x: Tensor) -> Tensor:
        return x.repeat_interleave(self.scale, 2).repeat_interleave(self.scale, 3)

    def onnx(self, op: Op, x: str) -> Values:
        return op.Resize(
            x,
            "",
            op.const(np.array([1, 1, self.scale, self.scale], np.float32)),
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
