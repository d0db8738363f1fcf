"""PReLU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape

SLOPE = Filler(value=0.25)


class PReLU(Layer, type="PReLU", param="prelu_param"):
    """`top = max(x, 0) + weight * min(x, 0)`, with a slope for each channel of N x C x ...

    Blob: weight, C, or without axes where the slope is `channel_shared`. Without a filler slopes
    are 0.25.

    BVLC takes 4 axes at most, forks that know volumes take any number.

    Errors: ShapeError for bottoms of fewer than 2 axes.
    Caffe: BVLC/caffe, src/caffe/layers/prelu_layer.cpp
    """

    family = "activation"

    def __init__(
        self, channels: int, *, filler: Filler = SLOPE, channel_shared: bool = False
    ) -> None:
        super().__init__()
        self.channels = channels
        self.channel_shared = channel_shared
        self.add_blob("weight", () if channel_shared else (channels,), filler)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> PReLU:
        _check(bottoms[0])
        return cls(bottoms[0][1], **cls.fields(layer))

    def shapes(self, x: Shape) -> list[Shape]:
        _check(x)
        require(x[1] == self.channels, f"bottom {x} has {x[1]} channels, wants {self.channels}")
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return F.prelu(x, self.weight.reshape(-1))

    def bound(self, x: Shape) -> Callable[[Tensor], Tensor] | None:
        blobs = self.live_blobs
        if self.channel_shared or "weight" not in blobs:
            return None
        return lambda x: torch.prelu(x, blobs["weight"])

    def onnx(self, op: Op, x: str) -> Values:
        ones = (1,) * (len(op.shape(x)) - 2)
        shape = () if self.channel_shared else (self.channels, *ones)
        return op.PRelu(x, op.weight(self, "weight", shape=shape))

    def python(self, py: Py, x: str) -> str:
        weight = self.weight.reshape(-1)
        return py.module("nn.PReLU", len(weight), tensors={"weight": weight}) + f"({x})"


def _check(x: Shape) -> None:
    require(len(x) >= 2, f"bottom {x} has no channel axis, wants N x C x ...")
