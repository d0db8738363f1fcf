"""Warp, of LiteFlowNet."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .bilinear import Bilinear, emit_places, emit_sample, of_equal_sizes, sample


class CoordinateWarp(Bilinear, type="Warp", fork="liteflownet", bottoms=2):
    """`top[y, x] = image[v, u]` for coordinates (u, v): a Grid's, to which a flow is added.

    A pixel beyond the image counts as 0, also beside one that is in it. PWC-Net's Warp is given the
    flow alone.

    Errors: ShapeError unless there are coordinates for each pixel.
    Caffe: twhui/LiteFlowNet, src/caffe/layers/warp_layer.{cpp,cu}
    """

    def shapes(self, image: Shape, places: Shape) -> list[Shape]:
        tops = super().shapes(image, places)
        of_equal_sizes(image, places)
        return tops

    def forward(self, image: Tensor, places: Tensor) -> Tensor:
        return sample(image, places[:, 0], places[:, 1])

    def onnx(self, op: Op, image: str, places: str) -> Values:
        return emit_sample(op, image, *emit_places(op, places))
