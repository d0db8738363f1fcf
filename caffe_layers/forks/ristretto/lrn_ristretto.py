"""LRNRistretto, of Ristretto."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError

from .quantization import FLOAT, Quantization


class LRNRistretto(Layer, type="LRNRistretto", fork="ristretto", param="lrn_param"):
    """LRN across channels in floats of few bits: every step of it is rounded, in training too.

    With q for the rounding of `Quantization` to MINIFLOAT, to the nearest, `s = q(k + q(alpha / n *
    sum))` and `top = q(q(x) * q(s^-beta))`, for N x C x H x W and n = `local_size`. The sum goes
    from channel to channel: the square `q(q(x)^2)` of the one that comes into sight is added and
    that of the one that goes out of it taken away, with a q each time. So what was once lost in
    rounding stays lost.

    The gradient is LRN's with this s, this top and the x that was not rounded.

    Errors: ShapeError for an even local_size, a bottom without 4 axes, and for fewer channels than
    there are beside the middle one; UnsupportedError for another precision and for WITHIN_CHANNEL,
    which Ristretto lacks.
    Caffe: pmgysel/caffe at 614963c, src/caffe/ristretto/layers/lrn_ristretto_layer.cu
    """

    family = "normalization"

    def __init__(
        self,
        *,
        quantization: Quantization,
        local_size: int = 5,
        alpha: float = 1.0,
        beta: float = 0.75,
        norm_region: str = "ACROSS_CHANNELS",
        k: float = 1.0,
    ) -> None:
        super().__init__()
        require(local_size % 2 == 1, f"local_size {local_size} is even, wants a middle")
        if quantization.precision != FLOAT:
            raise UnsupportedError(f"precision {quantization.precision}: LRN wants {FLOAT}")
        if norm_region != "ACROSS_CHANNELS":
            raise UnsupportedError(f"norm_region {norm_region}, which Ristretto itself lacks")
        self.quantization, self.local_size = quantization, local_size
        self.share, self.beta, self.k = float32(alpha) / local_size, float32(beta), float32(k)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> LRNRistretto:
        return cls(**cls.fields(layer, quantization=Quantization.read(layer)))

    @property
    def beyond(self) -> int:
        """How many channels are in sight before or behind the middle one."""
        return self.local_size // 2

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4: N x C x H x W")
        enough = x[1] >= self.beyond
        require(enough, f"bottom {x} has {x[1]} channels, local_size {self.local_size} wants more")
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        rounded = self.quantization.nearest_float
        with torch.no_grad():
            small = rounded(x)
            squares = rounded(small * small).unbind(1)
            total, sums = x.new_zeros(()), []
            for head in range(len(squares) + self.beyond):
                if head < len(squares):
                    total = rounded(total + squares[head])
                if head >= self.local_size:
                    total = rounded(total - squares[head - self.local_size])
                sums.append(total)
            scale = rounded(self.k + rounded(torch.stack(sums[self.beyond :], 1) * self.share))
            power = scale.pow(-self.beta)
            top = rounded(small * rounded(power))
        pads = (0, 0, 0, 0, self.beyond, self.beyond)
        near = F.pad(x * x, pads).unfold(1, self.local_size, 1).sum(-1)
        through = x * power - self.share * self.beta * (top / scale) * near
        return gradient_of(top, through)

    def onnx(self, op: Op, x: str) -> Values:
        def rounded(value: str) -> str:
            return self.quantization.onnx_nearest_float(op, value)

        channels, heads = op.shape(x)[1], op.shape(x)[1] + self.beyond
        small = rounded(x)
        squares = op.Transpose(rounded(op.Mul(small, small)), perm=[1, 0, 2, 3])
        comes = op.Pad(squares, op.ints(0, 0, 0, 0, self.beyond, 0, 0, 0))
        gone = op.Slice(squares, op.ints(0), op.ints(max(heads - self.local_size, 0)), op.ints(0))
        lead = min(self.local_size, heads)
        goes = op.Pad(gone, op.ints(lead, 0, 0, 0, 0, 0, 0, 0))
        at = np.arange(heads)
        has = [
            op.const(mask.astype(op.float_type)) for mask in (at < channels, at >= self.local_size)
        ]

        def step(total: str, new: str, old: str, adds: str, takes: str) -> tuple[str, ...]:
            total = op.Where(op.to_bool(adds), rounded(op.Add(total, new)), total)
            total = op.Where(op.to_bool(takes), rounded(op.Sub(total, old)), total)
            return total, op.Identity(total)

        none = op.Mul(op.Squeeze(op.Slice(comes, op.ints(0), op.ints(1), op.ints(0)), op.ints(0)),
                      op.scalar(0))  # fmt: skip
        _, sums = op.scan(step, [none], [comes, goes, *has], stacked=1, ranks=(3, 3))
        sums = op.Slice(sums, op.ints(self.beyond), op.ints(heads), op.ints(0))
        share = rounded(op.Mul(sums, op.scalar(self.share)))
        scale = rounded(op.Add(share, op.scalar(self.k)))
        power = rounded(op.Pow(scale, op.scalar(-self.beta)))
        return rounded(op.Mul(small, op.Transpose(power, perm=[1, 0, 2, 3])))
