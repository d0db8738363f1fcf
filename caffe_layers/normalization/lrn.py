"""LRN, local response normalisation."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

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
        size, pad = self.local_size, self.local_size // 2
        square = x * x
        if self.norm_region == "WITHIN_CHANNEL":
            return x * (1 + self.alpha * F.avg_pool2d(square, size, 1, pad)).pow(-self.beta)
        # Sums of whole channels: a pooling over them takes several times as long backward.
        padded = F.pad(square, (0, 0, 0, 0, pad, pad))
        total: Any = sum(padded.narrow(1, at, x.shape[1]) for at in range(size))
        scale: Tensor = self.k + self.alpha * (total / size)
        return x * scale.pow(-self.beta)

    def onnx(self, op: Op, x: str) -> Values:
        across = self.norm_region == "ACROSS_CHANNELS"
        if across and self.alpha > 0 and self.beta > 0:  # ONNX Runtime takes no others
            if self.k.is_integer() or self.k < 0:
                return op.LRN(
                    x, alpha=self.alpha, beta=self.beta, bias=self.k, size=self.local_size
                )
            # OpenVINO takes a whole number: k is taken out of the power.
            alpha = self.alpha / self.k
            power = op.LRN(x, alpha=alpha, beta=self.beta, bias=1.0, size=self.local_size)
            return op.Mul(power, op.scalar(self.k**-self.beta))
        square = op.Mul(x, x)
        mean = self._onnx_mean_across(op, square) if across else self._onnx_mean_within(op, square)
        share = op.Mul(mean, op.scalar(self.alpha))
        scale = op.Add(share, op.scalar(self.k if across else 1))
        return op.Mul(x, op.Pow(scale, op.scalar(-self.beta)))

    def _onnx_mean_within(self, op: Op, square: str) -> str:
        size, pad = self.local_size, self.local_size // 2
        return op.AveragePool(
            square, kernel_shape=[size, size], pads=[pad] * 4, count_include_pad=1
        )

    def _onnx_mean_across(self, op: Op, square: str) -> str:
        """Append the mean, with the channels as rows, so that it is a pooling."""
        rows = op.Transpose(square, perm=[0, 2, 1, 3])
        pad = self.local_size // 2
        mean = op.AveragePool(
            rows, kernel_shape=[self.local_size, 1], pads=[pad, 0, pad, 0], count_include_pad=1
        )
        return op.Transpose(mean, perm=[0, 2, 1, 3])

    def python(self, py: Py, x: str) -> str:
        size, pad, alpha, beta = self.local_size, self.local_size // 2, self.alpha, self.beta
        if self.norm_region == "ACROSS_CHANNELS":
            return py.call("F.local_response_norm", x, size, alpha=alpha, beta=beta, k=self.k)
        mean = f"F.avg_pool2d({x} * {x}, {size}, 1, {pad})"
        return f"{x} * (1 + {alpha} * {mean}) ** -{beta}"
