"""DenseBlock, of DenseNet, as one layer."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

EPS = 1e-5
BOTTLENECK = 4
"""How many times `growthRate` channels a bottleneck has."""


class DenseBlock(Layer, type="DenseBlock", fork="caffe_ocr", param="denseblock_param"):
    """`numTransition` times `x = concat(x, conv3x3(relu(bn(x))))`, of `growthRate` channels each.

    With `use_BC` a 1 x 1 convolution to 4 `growthRate` channels, a BN and a ReLU stand before the
    3 x 3 one, which keeps the size and has no bias. A BN is
    `scale * (x - mean) / sqrt(variance + 1e-5) + bias`, of the batch in training, when
    `moving_average_fraction` of its mean and variance go into those that are kept.

    Caffe divides what it keeps by a factor, the last blob, on CPUs alone, and counts it up there
    alone: where it is 0 the numbers are taken as they are, as GPUs do, which train such networks.
    In training `use_dropout` drops `dropout_amount` of what is added.

    Blobs, `numTransition` of each: the 3 x 3 filters, scales, biases, means, variances; with
    `use_BC` the 1 x 1 filters and the same four of their BNs; the factor.

    Errors: ShapeError for a bottom without 4 axes.
    Caffe: senlinuc/caffe_ocr, src/caffe/layers/DenseBlock_layer.{cpp,cu}
    """

    family = "convolution"
    adds_blobs = True

    def __init__(
        self,
        channels: int,
        *,
        numTransition: int = 40,  # noqa: N803  # the fork's names
        growthRate: int = 12,  # noqa: N803
        use_BC: bool = False,  # noqa: N803
        use_dropout: bool = False,
        dropout_amount: float = 0.0,
        moving_average_fraction: float = 0.1,
        Filter_Filler: Filler = Filler(),  # noqa: N803
        BN_Scaler_Filler: Filler = Filler(),  # noqa: N803
        BN_Bias_Filler: Filler = Filler(),  # noqa: N803
    ) -> None:
        super().__init__()
        require(numTransition > 0, f"numTransition is {numTransition}, wants 1 or more")
        require(growthRate > 0, f"growthRate is {growthRate}, wants 1 or more")
        self.channels, self.count, self.growth = channels, numTransition, growthRate
        self.bottleneck = use_BC
        self.dropout = float32(dropout_amount) if use_dropout else 0.0
        self.fraction = float32(moving_average_fraction)
        wide = BOTTLENECK * growthRate
        sizes = [channels + at * growthRate for at in range(numTransition)]
        filler = Filter_Filler
        for at, size in enumerate(sizes):
            inputs = wide if use_BC else size
            self.add_blob(f"filter_{at}", (growthRate, inputs, 3, 3), filler)
        self._add_norms("", sizes, BN_Scaler_Filler, BN_Bias_Filler)
        if use_BC:
            for at, size in enumerate(sizes):
                self.add_blob(f"filter_1x1_{at}", (wide, size, 1, 1), filler)
            self._add_norms("_1x1", [wide] * numTransition, BN_Scaler_Filler, BN_Bias_Filler)
        self.add_blob("factor", (1,), Filler(), learnable=False)

    def _add_norms(self, of: str, sizes: list[int], scale: Filler, bias: Filler) -> None:
        one = Filler(type="constant", value=1)
        for name, filler, learnable in (
            ("scale", scale, True),
            ("bias", bias, True),
            ("mean", Filler(), False),
            ("variance", one, False),
        ):
            for at, size in enumerate(sizes):
                self.add_blob(f"{name}{of}_{at}", (1, size, 1, 1), filler, learnable=learnable)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> DenseBlock:
        require(len(bottoms[0]) == 4, f"bottom {bottoms[0]} has not 4 axes: N x C x H x W")
        return cls(bottoms[0][1], **cls.fields(layer))

    def shapes(self, x: Shape) -> list[Shape]:
        require(
            len(x) == 4 and x[1] == self.channels,
            f"bottom {x}, wants N x {self.channels} x H x W",
        )
        return [(x[0], x[1] + self.count * self.growth, *x[2:])]

    def forward(self, x: Tensor) -> Tensor:
        for at in range(self.count):
            new = self._norm(x, "", at).relu()
            if self.bottleneck:
                new = F.conv2d(new, self._of(f"filter_1x1_{at}"))
                new = self._norm(new, "_1x1", at).relu()
            new = F.conv2d(new, self._of(f"filter_{at}"), padding=1)
            if self.dropout and self.training:
                new = F.dropout(new, self.dropout)
            x = torch.cat((x, new), 1)
        return x

    def _of(self, name: str) -> Tensor:
        blob: Tensor = getattr(self, name)
        return blob

    def _norm(self, x: Tensor, of: str, at: int) -> Tensor:
        scale, bias, mean, variance = (
            self._of(f"{name}{of}_{at}").flatten() for name in ("scale", "bias", "mean", "variance")
        )
        if self.training:
            return F.batch_norm(x, mean, variance, scale, bias, True, self.fraction, EPS)
        share = self._share()
        return F.batch_norm(x, mean * share, variance * share, scale, bias, False, 0.0, EPS)

    def _share(self) -> Tensor:
        factor = self._of("factor")
        return torch.where(factor == 0, torch.ones_like(factor), 1 / factor)

    def onnx(self, op: Op, x: str) -> Values:
        for at in range(self.count):
            new = op.Relu(self._emit_norm(op, x, "", at))
            if self.bottleneck:
                new = op.Conv(new, op.weight(self, f"filter_1x1_{at}"))
                new = op.Relu(self._emit_norm(op, new, "_1x1", at))
            new = op.Conv(new, op.weight(self, f"filter_{at}"), pads=[1, 1, 1, 1])
            x = op.Concat(x, new, axis=1)
        return x

    def _emit_norm(self, op: Op, x: str, of: str, at: int) -> str:
        size = (self._of(f"scale{of}_{at}").shape[1],)
        scale, bias = (
            op.weight(self, f"{name}{of}_{at}", shape=size) for name in ("scale", "bias")
        )
        share = self._share()
        mean, variance = (
            op.array(f"{name}{of}_{at}_used", (self._of(f"{name}{of}_{at}") * share).flatten())
            for name in ("mean", "variance")
        )
        normalized: str = op.BatchNormalization(x, scale, bias, mean, variance, epsilon=EPS)
        return normalized

    def multiply_adds(self, bottoms: list[Shape], tops: list[Shape]) -> int:
        places = bottoms[0][0] * bottoms[0][2] * bottoms[0][3]
        filters = (blob.numel() for name, blob in self.named_parameters() if "filter" in name)
        return places * sum(filters)
