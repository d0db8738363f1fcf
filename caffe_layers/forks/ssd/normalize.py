"""Normalize, from SSD."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.base.checks import legacy_shape, require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError

ONES = Filler(value=1.0)


class Normalize(Layer, type="Normalize", fork="ssd", param="norm_param"):
    """`top = x / sqrt(sum(x^2) + eps) * scale`, with a learned scale; x is N x C x H x W.

    The sum is over all of a sample, or with `across_spatial` false over the channels of each
    pixel. Blob: scale, a scalar, or C numbers with `channel_shared` false. Unlike happynear's
    Normalize it has a blob, and unlike yjxiong's an eps. With C scales the gradient of x is not the
    top's: Caffe takes that of an unscaled top and multiplies it by the scales at the end.

    Errors: ShapeError for fewer than 2 axes or more than 4, and for other channels.
    Caffe: weiliu89/caffe, src/caffe/layers/normalize_layer.cpp
    """

    family = "normalization"

    def __init__(
        self,
        channels: int,
        *,
        across_spatial: bool = True,
        scale_filler: Filler = ONES,
        channel_shared: bool = True,
        eps: float = 1e-10,
    ) -> None:
        super().__init__()
        self.channels = channels
        self.across_spatial, self.eps = across_spatial, float32(eps)
        self.add_blob("scale", () if channel_shared else (channels,), scale_filler)

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return len(layer.top) == 1 and (blobs is None or len(blobs) == 1)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Normalize:
        _check(bottoms[0])
        return cls(bottoms[0][1], **cls.fields(layer))

    def shapes(self, x: Shape) -> list[Shape]:
        _check(x)
        if self.scale.shape and x[1] != self.channels:
            raise ShapeError(f"bottom {x} has {x[1]} channels, wants {self.channels}")
        return [x]

    def summed(self, rank: int) -> tuple[int, ...]:
        """Return the axes that a sum is over."""
        return tuple(range(1, rank)) if self.across_spatial else (1,)

    def scale_shape(self, rank: int) -> Shape:
        """Return the shape in which the scale meets a bottom of so many axes."""
        return (self.channels, *(1,) * (rank - 2)) if self.scale.shape else ()

    def forward(self, x: Tensor) -> Tensor:
        scale: Tensor = self.scale.reshape(self.scale_shape(x.dim()))
        if not (scale.dim() and x.requires_grad and torch.is_grad_enabled()):
            return self._normalized(x) * scale
        fixed = scale.detach()
        own = self._normalized(gradient_of(x, x * fixed))
        return gradient_of(own * fixed, own) + own.detach() * (scale - fixed)

    def _normalized(self, x: Tensor) -> Tensor:
        total = x.square().sum(self.summed(x.dim()), keepdim=True)
        return x / (total + self.eps).sqrt()

    def onnx(self, op: Op, x: str) -> Values:
        rank = len(op.shape(x))
        square = op.Mul(x, x)
        total = op.reduce("ReduceSum", square, self.summed(rank), keepdims=1)
        norm = op.Sqrt(op.Add(total, op.scalar(self.eps)))
        scale = op.weight(self, "scale", shape=self.scale_shape(rank))
        return op.Mul(op.Div(x, norm), scale)


def _check(x: Shape) -> None:
    require(len(x) >= 2, f"bottom {x} has {len(x)} axes, wants 2 or more")
    legacy_shape(x, "bottom")
