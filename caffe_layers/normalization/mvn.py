"""MVN, mean and variance normalisation."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

NEGLIGIBLE = 1e-7
"""An eps up to which the true derivative and Caffe's differ by less than float can tell."""


class MVN(Layer, type="MVN", param="mvn_param"):
    """`top = (x - mean) / (std + eps)`, over each plane of N x C x H x W on its own.

    `across_channels` takes mean and standard deviation over C x H x W instead, and without
    `normalize_variance` nothing is divided. eps is added to the deviation, not to the variance.
    A bottom of fewer than 4 axes gets axes of 1 at its end, and the top keeps them. Caffe's
    gradient leaves eps out, and so does this one where eps is negligible; else it is the true one.

    Errors: ShapeError for a bottom of more than 4 axes.
    Caffe: BVLC/caffe, src/caffe/layers/mvn_layer.cpp
    """

    family = "normalization"

    def __init__(
        self,
        *,
        normalize_variance: bool = True,
        across_channels: bool = False,
        eps: float = 1e-9,
    ) -> None:
        super().__init__()
        self.normalize_variance, self.across_channels = normalize_variance, across_channels
        self.eps = float32(eps)

    @property
    def axes(self) -> tuple[int, ...]:
        """The axes over which mean and deviation are taken."""
        return (1, 2, 3) if self.across_channels else (2, 3)

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) <= 4, f"bottom {x} has {len(x)} axes, wants at most 4")
        return [(*x, *(1,) * (4 - len(x)))]

    def forward(self, x: Tensor) -> Tensor:
        x = x.reshape(*x.shape, *(1,) * (4 - x.dim()))
        centred = x - x.mean(self.axes, keepdim=True)
        if not self.normalize_variance:
            return centred
        var = (centred * centred).mean(self.axes, keepdim=True)
        if self.eps <= NEGLIGIBLE:
            # (std + eps)**2 under the root has Caffe's slope, which takes eps for 0.
            return centred / (var + self.eps * (2 * var.detach().sqrt() + self.eps)).sqrt()
        # The root's slope at 0 is infinite: planes of one value would get NaN for a gradient.
        flat = var == 0
        std = torch.where(flat, 1, var).sqrt().masked_fill(flat, 0)
        return centred / (std + self.eps)

    def onnx(self, op: Op, x: str) -> Values:
        if len(op.shape(x)) < 4:
            x = op.reshape(x, op.shape(op.tops[0]), op.dynamic(op.tops[0]))
        mean = op.reduce("ReduceMean", x, self.axes, keepdims=1)
        if not self.normalize_variance:
            return op.Sub(x, mean)
        centred = op.Sub(x, mean)
        square = op.Mul(centred, centred)
        var = op.reduce("ReduceMean", square, self.axes, keepdims=1)
        std = op.Add(op.Sqrt(var), op.scalar(self.eps))
        return op.Div(centred, std)
