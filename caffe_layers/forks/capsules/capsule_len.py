"""CapsuleLen, of CapsNet."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .lengths import count_of, lengths, onnx_lengths


class CapsuleLen(Layer, type="CapsuleLen", fork="capsnet", param="capsule_len_param"):
    """The lengths of the `num_class` capsules of a sample, `sqrt(sum(x^2) + 1e-7)`, as N x classes.

    As on the CPU; the GPU's code leaves the root out, which the order of the lengths does not tell.

    Errors: ShapeError for capsules that do not fill a sample.
    Caffe: chenzhenhua986/CAFFE-CapsNet at cb0e272, src/caffe/layers/capsule_len_layer.cpp; it has
    no backward
    """

    def __init__(self, *, num_class: int) -> None:
        super().__init__()
        self.num_class = num_class

    def shapes(self, x: Shape) -> list[Shape]:
        count_of(x, self.num_class, "num_class")
        return [(x[0], self.num_class)]

    def forward(self, x: Tensor) -> Tensor:
        return lengths(x.reshape(len(x), self.num_class, -1))

    def onnx(self, op: Op, x: str) -> Values:
        return onnx_lengths(op, op.Reshape(x, op.ints(0, self.num_class, -1)), 3)
