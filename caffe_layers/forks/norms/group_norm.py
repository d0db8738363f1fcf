"""GroupNorm, of blankWorld's Caffe layer."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .group_statistics import normalize_groups, onnx_normalize_groups


class GroupNorm(Layer, type="GroupNorm", fork="lock_in", param="group_norm_param"):
    """`top = (x - mean) / sqrt(var + eps)` of each of `group_num` groups of a sample's channels.

    x is N x C x ...; mean and biased variance are over a group's channels and all their places.
    No blobs: a Scale behind it learns.

    Errors: ShapeError for fewer than 2 axes, and for C that `group_num` does not divide.
    Caffe: blankWorld/GroupNorm-caffe at 3a27dca, group_norm_layer.{cpp,cu}, which the lock-in
    network uses; niezhongliang/GroupNormalization-caffe at eda71cb has it for the CPU too
    """

    family = "normalization"

    def __init__(self, *, group_num: int = 32, eps: float = 1e-5) -> None:
        super().__init__()
        require(group_num > 0, f"group_num {group_num}, wants 1 or more")
        self.group_num, self.eps = group_num, float32(eps)

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) >= 2, f"bottom {x} has {len(x)} axes, wants 2 or more")
        groups = self.group_num
        require(x[1] % groups == 0, f"bottom {x} has {x[1]} channels, wants a multiple of {groups}")
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return normalize_groups(x, self.group_num, self.eps)

    def onnx(self, op: Op, x: str) -> Values:
        return onnx_normalize_groups(op, x, self.group_num, self.eps)
