"""InstanceNorm, of GuoShi28's Caffe layer."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.checks import legacy_shape
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .group_statistics import normalize_groups, onnx_normalize_groups

EPS = 0.0001
"""In the source, no field."""


class InstanceNorm(Layer, type="InstanceNorm", fork="adain"):
    """`top = (x - mean) / sqrt(var + 0.0001)` of each plane of N x C x H x W on its own.

    The variance is the biased one. No fields and no blobs: a Scale behind it learns. A bottom of
    fewer than 4 axes gets axes of 1 at its end, and the top keeps them.

    Errors: ShapeError for a bottom of more than 4 axes.
    Caffe: GuoShi28/Caffe-Instance-Normalization-and-Guided-Instance-Normalization at bc2ea8c,
    instance_norm_layer.cpp
    """

    family = "normalization"

    def shapes(self, x: Shape) -> list[Shape]:
        return [legacy_shape(x, "bottom")]

    def forward(self, x: Tensor) -> Tensor:
        planes = x.reshape(legacy_shape(x.shape, "bottom"))
        return normalize_groups(planes, planes.shape[1], EPS)

    def onnx(self, op: Op, x: str) -> Values:
        return onnx_normalize_groups(op, x, op.shape(op.tops[0])[1], EPS)
