"""Embed."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

from .rows import row_numbers


class Embed(Layer, type="Embed", param="embed_param"):
    """`top[...] = weight[int(x[...])] + bias`: x of any shape, the top has num_output more axes.

    Blobs: weight, input_dim x num_output, and bias, num_output, if there is a `bias_term`. Values
    of x are truncated to integers. One outside of 0..input_dim - 1 makes Caffe read memory that
    is not the blob's, and is an error here.

    Errors: ShapeError for such a value.
    Caffe: BVLC/caffe, src/caffe/layers/embed_layer.cpp
    """

    family = "inner product"
    fixed_bottoms = (0,)

    def __init__(
        self,
        input_dim: int,
        num_output: int,
        *,
        bias_term: bool = True,
        weight_filler: Filler = Filler(),
        bias_filler: Filler = Filler(),
    ) -> None:
        super().__init__()
        require(num_output > 0, f"num_output is {num_output}, wants 1 or more")
        require(input_dim > 0, f"input_dim is {input_dim}, wants 1 or more")
        self.input_dim = input_dim
        self.num_output = num_output
        self.bias_term = bias_term
        self.add_blob("weight", (input_dim, num_output), weight_filler)
        if bias_term:
            self.add_blob("bias", (num_output,), bias_filler)

    def shapes(self, x: Shape) -> list[Shape]:
        return [(*x, self.num_output)]

    def forward(self, x: Tensor) -> Tensor:
        top = F.embedding(row_numbers(x, self.input_dim), self.weight)
        return top + self.bias if self.bias_term else top

    def onnx(self, op: Op, x: str) -> Values:
        rows = op.to_int(x)
        if not self.bias_term:
            return op.Gather(op.weight(self, "weight"), rows, axis=0)
        picked = op.Gather(op.weight(self, "weight"), rows, axis=0)
        return op.Add(picked, op.weight(self, "bias"))
