"""GuidedDropout, of domain guided dropout."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

STOCHASTIC, DETERMINISTIC = "stochastic", "deterministic"


class GuidedDropout(
    Layer, type="GuidedDropout", fork="dgd", param="guided_dropout_param", bottoms=2
):
    """`top[n, c] = x[n, c] * mask[n, c] * C / kept[n]`, with a mask by the guidance g, N x C.

    Of `type` deterministic the mask is 1 where g is above `guidance_threshold`, and `kept` their
    number; where there is none, the top is 0. Of `type` stochastic the mask is drawn in training,
    1 with the probability `sigmoid(g * sigmoid_scaler)`, and `kept` is the sum of these
    probabilities; in testing the top is x. x is N x C x ..., and the guidance has no gradient.

    Errors: ShapeError for a guidance of other sizes, and another `type`.
    Caffe: Cysu/caffe, src/caffe/layers/guided_dropout_layer.cpp
    """

    family = "dropout"

    def __init__(
        self,
        *,
        type: str = DETERMINISTIC,
        guidance_threshold: float = 0.0,
        sigmoid_scaler: float = 1.0,
    ) -> None:
        super().__init__()
        if type not in (STOCHASTIC, DETERMINISTIC):
            raise ShapeError(f"type {type!r} is neither {STOCHASTIC!r} nor {DETERMINISTIC!r}")
        self.stochastic = type == STOCHASTIC
        self.guidance_threshold = float32(guidance_threshold)
        self.sigmoid_scaler = float32(sigmoid_scaler)

    def shapes(self, x: Shape, guidance: Shape) -> list[Shape]:
        fits = (*guidance, 1, 1)[:2] == (*x, 1, 1)[:2] and prod(guidance[2:]) == 1
        require(fits, f"the guidance is {guidance}, wants a value for each channel of x {x}")
        return [x]

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        if self.stochastic and not self.training:
            return x
        guidance = guidance.detach().reshape(*x.shape[:2])
        if self.stochastic:
            chance = (guidance * self.sigmoid_scaler).sigmoid()
            mask, kept = torch.bernoulli(chance), chance.sum(1, keepdim=True)
        else:
            mask = (guidance > self.guidance_threshold).to(x)
            kept = mask.sum(1, keepdim=True)
        share = mask * torch.where(kept > 0, x.shape[1] / kept, 1)
        return x * share.reshape(*x.shape[:2], *[1] * (x.dim() - 2))

    @property
    def is_identity(self) -> bool:
        return self.stochastic and not self.training

    def onnx(self, op: Op, x: str, guidance: str) -> Values:
        if self.stochastic:
            return x
        channels = op.shape(x)[1]
        if len(op.shape(guidance)) > 2:
            guidance = op.Reshape(guidance, op.ints(-1, channels))
        mask = op.to_float(op.Greater(guidance, op.scalar(self.guidance_threshold)))
        kept = op.Max(op.reduce("ReduceSum", mask, [1], keepdims=1), op.scalar(1))
        share = op.Mul(mask, op.Div(op.scalar(channels), kept))
        beyond = len(op.shape(x)) - 2
        if beyond:
            share = op.Unsqueeze(share, op.ints(*range(2, 2 + beyond)))
        return op.Mul(x, share)
