"""LRN, local response normalisation."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

from .local_response import emit_response_across, response_across

REGIONS = ("ACROSS_CHANNELS", "WITHIN_CHANNEL")


class LRN(Layer, type="LRN", param="lrn_param"):
    """`top = x * (k + alpha / n * sum of x**2)**-beta` over n neighbours, for N x C x H x W.

    `norm_region` says which: ACROSS_CHANNELS, the local_size channels around each one, or
    WITHIN_CHANNEL, the local_size x local_size values around each one, where n is the square of
    local_size and k is 1 whatever it is set to. Neighbours beyond the border are zeros.

    Errors: ShapeError for an even local_size and for a bottom without 4 axes.
    Caffe: BVLC/caffe, src/caffe/layers/lrn_layer.cpp
    """

    family = "normalization"

    def __init__(
        self,
        *,
        local_size: int = 5,
        alpha: float = 1.0,
        beta: float = 0.75,
        norm_region: str = "ACROSS_CHANNELS",
        k: float = 1.0,
    ) -> None:
        super().__init__()
        require(local_size % 2 == 1, f"local_size {local_size} is even, wants a middle")
        if norm_region not in REGIONS:
            raise ShapeError(f"norm_region {norm_region!r} is none of {', '.join(REGIONS)}")
        self.local_size, self.norm_region = local_size, norm_region
        self.alpha, self.beta, self.k = float32(alpha), float32(beta), float32(k)

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4: N x C x H x W")
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        if self.norm_region == "ACROSS_CHANNELS":
            return response_across(x, self.local_size, self.alpha, self.beta, self.k)
        size, pad = self.local_size, self.local_size // 2
        return x * (1 + self.alpha * F.avg_pool2d(x * x, size, 1, pad)).pow(-self.beta)

    def onnx(self, op: Op, x: str) -> Values:
        if self.norm_region == "ACROSS_CHANNELS":
            return emit_response_across(op, x, self.local_size, self.alpha, self.beta, self.k)
        size, pad = self.local_size, self.local_size // 2
        mean = op.AveragePool(
            op.Mul(x, x), kernel_shape=[size, size], pads=[pad] * 4, count_include_pad=1
        )
        share = op.Mul(mean, op.scalar(self.alpha))
        scale = op.Add(share, op.scalar(1))
        return op.Mul(x, op.Pow(scale, op.scalar(-self.beta)))

    def python(self, py: Py, x: str) -> str:
        size, pad, alpha, beta = self.local_size, self.local_size // 2, self.alpha, self.beta
        if self.norm_region == "ACROSS_CHANNELS":
            return py.call("F.local_response_norm", x, size, alpha=alpha, beta=beta, k=self.k)
        mean = f"F.avg_pool2d({x} * {x}, {size}, 1, {pad})"
        return f"{x} * (1 + {alpha} * {mean}) ** -{beta}"
