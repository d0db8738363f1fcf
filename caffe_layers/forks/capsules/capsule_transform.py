"""CapsuleTransform and CapsuleRouting, of CapsNet."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .lengths import count_of, require_values


class CapsuleTransform(
    Layer, type="CapsuleTransform", fork="capsnet", param="capsule_transform_param"
):
    """`top[n, i] = x[n, i] W[i] + bias[i]`: what each input capsule says of each output capsule.

    x is N capsules of `input_capsule_dim` values, the top N x I x (O D), with O =
    `output_capsule_num` and D = `output_capsule_dim`. Blobs: weight I x input_capsule_dim x (O D),
    bias I O D.

    Errors: ShapeError for capsules that do not fill a sample.
    Caffe: chenzhenhua986/CAFFE-CapsNet at cb0e272, src/caffe/layers/capsule_transform_layer.cu;
    the CPU's code computes nothing
    """

    def __init__(
        self,
        capsules: int,
        *,
        input_capsule_dim: int,
        output_capsule_dim: int,
        output_capsule_num: int,
        bias_term: bool = True,
        weight_filler: Filler = Filler(),
        bias_filler: Filler = Filler(),
    ) -> None:
        super().__init__()
        self.capsules, self.dim = capsules, input_capsule_dim
        self.made = output_capsule_num * output_capsule_dim
        require(self.made > 0, "output_capsule_num and output_capsule_dim want 1 or more")
        self.add_blob("weight", (capsules, input_capsule_dim, self.made), weight_filler)
        if bias_term:
            self.add_blob("bias", (capsules * self.made,), bias_filler)
        else:
            self.register_parameter("bias", None)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> CapsuleTransform:
        dim = layer.capsule_transform_param.input_capsule_dim
        capsules = count_of(bottoms[0], dim, "input_capsule_dim")
        return cls(capsules, **cls.fields(layer))

    def shapes(self, x: Shape) -> list[Shape]:
        require_values(x, (self.capsules, self.dim), "capsules of")
        return [(x[0], self.capsules, self.made)]

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(len(x), self.capsules, 1, self.dim)
        said: Tensor = (rows @ self.weight).squeeze(2)
        return said if self.bias is None else said + self.bias.view(self.capsules, self.made)

    def onnx(self, op: Op, x: str) -> Values:
        rows = op.Reshape(x, op.ints(0, self.capsules, 1, self.dim))
        said = op.Squeeze(op.MatMul(rows, op.weight(self, "weight")), op.ints(2))
        if self.bias is None:
            return said
        return op.Add(said, op.weight(self, "bias", shape=(self.capsules, self.made)))

    def multiply_adds(self, bottoms: list[Shape], tops: list[Shape]) -> int:
        return bottoms[0][0] * self.capsules * self.dim * self.made


class CapsuleRouting(Layer, type="CapsuleRouting", fork="capsnet", param="capsule_routing_param"):
    """`top[n, o] = sum over i of weight[o, i] x[n, i, o]`: routing by learned weights.

    x is N x I x (O D) and the top N x O x D, with I = `input_capsule_num`, O =
    `output_capsule_num`, D = `output_capsule_dim`. Blob: weight O x I.

    Errors: ShapeError for other sizes.
    Caffe: chenzhenhua986/CAFFE-CapsNet at cb0e272, src/caffe/layers/capsule_routing_layer.cu; the
    CPU's code reads its bottom otherwise
    """

    def __init__(
        self,
        *,
        input_capsule_num: int,
        output_capsule_dim: int,
        output_capsule_num: int,
        weight_filler: Filler = Filler(),
    ) -> None:
        super().__init__()
        self.sizes = (input_capsule_num, output_capsule_num, output_capsule_dim)
        require(min(self.sizes) > 0, "the capsules' numbers and output_capsule_dim want 1 or more")
        self.add_blob("weight", (output_capsule_num, input_capsule_num), weight_filler)

    def shapes(self, x: Shape) -> list[Shape]:
        require_values(x, self.sizes, "capsules of")
        return [(x[0], *self.sizes[1:])]

    def forward(self, x: Tensor) -> Tensor:
        by_output = x.reshape(len(x), *self.sizes).transpose(1, 2)
        weight: Tensor = self.weight
        return (weight.unsqueeze(1) @ by_output).squeeze(2)

    def onnx(self, op: Op, x: str) -> Values:
        said = op.Reshape(x, op.ints(0, *self.sizes))
        by_output = op.Transpose(said, perm=[0, 2, 1, 3])
        weight = op.weight(self, "weight", shape=(self.sizes[1], 1, self.sizes[0]))
        return op.Squeeze(op.MatMul(weight, by_output), op.ints(2))
