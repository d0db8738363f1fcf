"""Batch normalization with a scale and running statistics of its own."""

from __future__ import annotations

from typing import Any, ClassVar, TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.arithmetic.batch_statistics import (
    normalize_batch,
    onnx_normalize_batch,
    update_statistics,
)
from caffe_layers.base.checks import require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class RunningNormFields(TypedDict, total=False):
    """`RunningNorm`'s keywords, but for `eps`: a fork's layer has its own default."""

    slope_filler: Filler
    bias_filler: Filler
    momentum: float
    frozen: bool


class RunningNorm(Layer, param="bn_param"):
    """`top = (x - mean) / sqrt(var + eps) * weight + bias`, per channel of N x C x H x W.

    Blobs, each 1 x C x 1 x 1 (1 x C in some forks, which is loaded alike): weight (the slope),
    bias, running_mean, running_var. In training mean and variance are the batch's (biased), and
    `running = momentum * running + (1 - momentum) * batch`, with the biased variance too unless
    `keeps_unbiased`.
    `frozen` uses the running ones in training too, leaves them alone, and gives weight and bias no
    gradient. Without a filler the weight is 0.
    """

    family = "normalization"
    keeps_unbiased: ClassVar[bool] = False
    """Whether the running variance is fed with the unbiased one."""
    running_mean: Tensor
    running_var: Tensor

    def __init__(
        self,
        channels: int,
        *,
        slope_filler: Filler = Filler(),
        bias_filler: Filler = Filler(),
        momentum: float = 0.9,
        eps: float = 1e-5,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        self.momentum = float32(momentum)
        self.eps = float32(eps)
        self.frozen = frozen
        shape = (1, channels, 1, 1)
        self.add_blob("weight", shape, slope_filler)
        self.add_blob("bias", shape, bias_filler)
        self.add_blob("running_mean", shape, Filler(), learnable=False)
        self.add_blob("running_var", shape, Filler(value=1.0 if frozen else 0.0), learnable=False)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> RunningNorm:
        x = bottoms[0]
        require(2 <= len(x) <= 4, f"bottom {x} has {len(x)} axes, wants 2 to 4")
        return cls(x[1], **cls.fields(layer))

    def admits(self, name: str, shape: Shape) -> bool:
        channels = int(self.weight.shape[1])
        return tuple(shape) in [(1, channels), (channels,)]

    def shapes(self, x: Shape) -> list[Shape]:
        channels = self.weight.shape[1]
        require(2 <= len(x) <= 4, f"bottom {x} has {len(x)} axes, wants 2 to 4")
        require(x[1] == channels, f"bottom {x} has {x[1]} channels, the layer has {channels}")
        return [x]

    def draw_statistics(self) -> bool:
        self.running_mean.data.fill_(0)
        self.running_var.data.fill_(1)
        return True

    def uses_batch(self) -> bool:
        """Tell whether the statistics are the batch's."""
        return self.training and not self.frozen

    @property
    def is_affine(self) -> bool:
        return not self.uses_batch()

    def forward(self, x: Tensor) -> Tensor:
        weight, bias, mean, var = (blob.flatten() for blob in self.blobs)
        if self.frozen:
            weight, bias = weight.detach(), bias.detach()
        if not self.uses_batch():
            return F.batch_norm(x, mean, var, weight, bias, False, 0.0, self.eps)
        values = x.numel() // x.shape[1]
        if self.keeps_unbiased and values > 1:
            return update_statistics(x, mean, var, weight, bias, 1 - self.momentum, self.eps)
        y, new_mean, new_var = normalize_batch(x, self.eps, weight, bias)
        if not self.keeps_unbiased:
            new_var = new_var * ((values - 1) / values)
        with torch.no_grad():
            for running, new in ((mean, new_mean), (var, new_var)):
                running.mul_(self.momentum).add_(new, alpha=1 - self.momentum)
        return y

    def onnx(self, op: Op, x: str) -> Values:
        channels = self.weight.shape[1]
        if self.uses_batch():
            shape = (channels, *(1,) * (len(op.shape(x)) - 2))
            weight, bias = (op.weight(self, name, shape=shape) for name in self.blob_names[:2])
            y = onnx_normalize_batch(op, x, self.eps)
            return op.Add(op.Mul(y, weight), bias)
        blobs = [op.weight(self, name, shape=(channels,)) for name in self.blob_names]
        return op.BatchNormalization(x, *blobs, epsilon=self.eps)
