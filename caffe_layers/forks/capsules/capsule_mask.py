"""CapsuleMask and CapsuleRelu, of CapsNet."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError

from .lengths import count_of, lengths, onnx_lengths


class CapsuleMask(Layer, type="CapsuleMask", fork="capsnet", param="capsule_mask_param"):
    """The last of the `class_num` capsules of a sample as it is, the others 0.

    It means to keep the longest, but never notes the length that it has found: of all that are
    longer than nothing the last one is kept.

    Errors: ShapeError for capsules that do not fill a sample.
    Caffe: chenzhenhua986/CAFFE-CapsNet at cb0e272, src/caffe/layers/capsule_mask_layer.cpp
    """

    def __init__(self, *, class_num: int) -> None:
        super().__init__()
        self.class_num = class_num

    def shapes(self, x: Shape) -> list[Shape]:
        count_of(x, self.class_num, "class_num")
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        kept = torch.arange(self.class_num, device=x.device) == self.class_num - 1
        capsules = x.reshape(len(x), self.class_num, -1)
        return torch.where(kept.unsqueeze(1), capsules, 0).view_as(x)

    def onnx(self, op: Op, x: str) -> Values:
        capsules = op.Reshape(x, op.ints(0, self.class_num, -1))
        last = op.floats([0.0] * (self.class_num - 1) + [1.0])
        kept = op.Unsqueeze(op.to_bool(last), op.ints(1))
        return op.reshape_to_top(op.Where(kept, capsules, op.scalar(0)))


class CapsuleRelu(Layer, type="CapsuleRelu", fork="capsnet", param="capsule_relu_param"):
    """Each run of `dim` values that is no longer than `thre` as it is, longer ones 0; in place.

    The length is `sqrt(sum(x^2) + 1e-7)`. The gradient is the top's, of the longer ones too.

    Errors: ShapeError for capsules that do not fill a sample; UnsupportedError for a top of its
    own, of which Caffe's layer sets the longer ones alone.
    Caffe: chenzhenhua986/CAFFE-CapsNet at cb0e272, src/caffe/layers/capsule_relu_layer.cpp
    """

    family = "activation"

    def __init__(self, *, dim: int, thre: float = 0.0) -> None:
        super().__init__()
        self.dim, self.thre = dim, float32(thre)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> CapsuleRelu:
        if list(layer.bottom) != list(layer.top):
            raise UnsupportedError(
                "its top is another blob than its bottom: Caffe's layer leaves short capsules "
                "there unset",
                fix="let it work in place, as its source expects",
            )
        return cls(**cls.fields(layer))

    def shapes(self, x: Shape) -> list[Shape]:
        count_of(x, self.dim, "dim")
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        capsules = x.detach().reshape(-1, self.dim)
        kept = (lengths(capsules) <= self.thre).unsqueeze(1)
        return gradient_of(torch.where(kept, capsules, 0).view_as(x), x)

    def onnx(self, op: Op, x: str) -> Values:
        capsules = op.Reshape(x, op.ints(0, -1, self.dim))
        length = onnx_lengths(op, capsules, 3, keepdims=1)
        long = op.Greater(length, op.scalar(self.thre))
        return op.reshape_to_top(op.Where(long, op.scalar(0), capsules))
