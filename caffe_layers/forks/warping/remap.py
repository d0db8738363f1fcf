"""Remap, of appearance flow."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.op import Op, Values

from .bilinear import Bilinear, emit_places, emit_sample, sample


class Remap(Bilinear, type="Remap", fork="appearance_flow", bottoms=2):
    """`top[y, x] = image[v, u]` for coordinates (u, v), of which there may be fewer or more.

    A pixel beyond the image counts as 0, also beside one that is in it.

    Errors: ShapeError unless the coordinates are N x 2 x H' x W'.
    Caffe: tinghuiz/appearance-flow, caffe/src/caffe/layers/remap_layer.cpp
    """

    def forward(self, image: Tensor, places: Tensor) -> Tensor:
        return sample(image, places[:, 0], places[:, 1])

    def onnx(self, op: Op, image: str, places: str) -> Values:
        return emit_sample(op, image, *emit_places(op, places))
