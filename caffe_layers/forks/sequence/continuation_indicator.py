"""ContinuationIndicator, from warpctc-caffe."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class ContinuationIndicator(
    Layer,
    type="ContinuationIndicator",
    fork="warpctc",
    param="continuation_indicator_param",
    bottoms=0,
):
    """The top, `time_step` x `batch_size`, is 0 in the first step and 1 in the others.

    It is the cont of an LSTM whose sequences all begin together.

    Errors: ShapeError for a size of 0.
    Caffe: xmfbit/warpctc-caffe, src/caffe/layers/continuation_indicator_layer.cpp
    """

    own_values = True

    def __init__(self, *, time_step: int = 0, batch_size: int = 0) -> None:
        super().__init__()
        self.time_step, self.batch_size = time_step, batch_size
        # Of one number: what a definition asks for may be more than memory holds.
        self.register_buffer("one", torch.ones(()), persistent=False)

    def shapes(self) -> list[Shape]:
        sizes = (self.time_step, self.batch_size)
        require(min(sizes) > 0, f"time_step and batch_size are {sizes}, want 1 or more")
        return [sizes]

    def forward(self) -> Tensor:
        one: Tensor = self.one
        cont = one.repeat(self.time_step, self.batch_size)
        cont[:1] = 0
        return cont

    def onnx(self, op: Op) -> Values:
        first = op.Expand(op.scalar(0), op.ints(1, self.batch_size))
        if self.time_step == 1:
            return first
        later = op.Expand(op.scalar(1), op.ints(self.time_step - 1, self.batch_size))
        return op.Concat(first, later, axis=0)
