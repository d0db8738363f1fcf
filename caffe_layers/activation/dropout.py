"""Dropout."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor

from caffe_layers.arithmetic.random_dropout import emit_drawn
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError


class Dropout(Layer, type="Dropout", param="dropout_param"):
    """In training `top = x * mask / (1 - dropout_ratio)`, else `top = x`, for x of any shape.

    Each value of the mask is 0 with the probability `dropout_ratio`, else 1. An ONNX model
    passes x through, whatever the phase of the network.

    Bayesian SegNet's `sample_weights_test` draws the mask in tests too, here and in ONNX. Without
    R-CNN's `scale_train` training does not divide; instead `top = x * (1 - dropout_ratio)` else.
    With happynear's `sqrt_scale` training divides by the square root of `1 - dropout_ratio`.

    Errors: ShapeError for a ratio outside [0, 1).
    Caffe: BVLC/caffe, src/caffe/layers/dropout_layer.cpp
    """

    family = "dropout"
    fork_fields = (
        "dropout_param.sample_weights_test",
        "dropout_param.scale_train",
        "dropout_param.sqrt_scale",
    )

    def __init__(
        self,
        *,
        dropout_ratio: float = 0.5,
        sample_weights_test: bool = False,
        scale_train: bool = True,
        sqrt_scale: bool = False,
    ) -> None:
        super().__init__()
        self.dropout_ratio = float32(dropout_ratio)
        ratio = self.dropout_ratio
        require(0 <= ratio < 1, f"dropout_ratio {ratio} wants to be at least 0 and below 1")
        self.draws = self.sample_weights_test = sample_weights_test
        self.scale_train = scale_train
        self.sqrt_scale = sqrt_scale

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        kept = 1 - self.dropout_ratio
        if self.training or self.sample_weights_test:
            top = F.dropout(x, self.dropout_ratio)
            if self.sqrt_scale:
                return top * math.sqrt(kept)
            return top if self.scale_train else top * kept
        return x if self.scale_train else x * kept

    @property
    def is_identity(self) -> bool:
        return self.scale_train and not self.training and not self.sample_weights_test

    def onnx(self, op: Op, x: str) -> Values:
        kept = op.scalar(1 - self.dropout_ratio)
        if not self.sample_weights_test:
            return x if self.scale_train else op.Mul(x, kept)
        drawn = emit_drawn(op, x, self.dropout_ratio, x)
        return drawn if self.scale_train else op.Mul(drawn, kept)

    def python(self, py: Py, x: str) -> str:
        if self.sample_weights_test:
            raise UnsupportedError("it draws in tests too")
        if self.scale_train and not self.sqrt_scale:
            return py.module("nn.Dropout", self.dropout_ratio, tensors={}) + f"({x})"
        return x if self.scale_train else f"{x} * {1 - self.dropout_ratio}"
