"""CapsuleReshape, of CapsNet."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .lengths import count_of


class CapsuleReshape(Layer, type="CapsuleReshape", fork="capsnet", param="capsule_reshape_param"):
    """N x C x H x W to N x (C H W / D) x D, with D = `capsule_dim`: D channels are one capsule.

    Capsule `g H W + p` is channels g D to g D + D - 1 at place p.

    Errors: ShapeError for fewer than 2 axes, and channels that are no whole capsules.
    Caffe: chenzhenhua986/CAFFE-CapsNet at cb0e272, src/caffe/layers/capsule_reshape_layer.cu; the
    CPU's code computes nothing
    """

    family = "shape"

    def __init__(self, *, capsule_dim: int) -> None:
        super().__init__()
        self.capsule_dim = capsule_dim

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) >= 2, f"bottom {x} has {len(x)} axes, wants 2 or more")
        dim = self.capsule_dim
        count = count_of(x, dim, "capsule_dim")
        require(x[1] % dim == 0, f"bottom {x} has {x[1]} channels, wants a multiple of {dim}")
        return [(x[0], count, dim)]

    def forward(self, x: Tensor) -> Tensor:
        groups = x.reshape(len(x), x.shape[1] // self.capsule_dim, self.capsule_dim, -1)
        return groups.transpose(2, 3).reshape(len(x), -1, self.capsule_dim)

    def onnx(self, op: Op, x: str) -> Values:
        groups = op.shape(x)[1] // self.capsule_dim
        apart = op.Reshape(x, op.ints(0, groups, self.capsule_dim, -1))
        turned = op.Transpose(apart, perm=[0, 1, 3, 2])
        return op.Reshape(turned, op.ints(0, -1, self.capsule_dim))
