"""BN, from SegNet and ENet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import UnsupportedError

FIELDS = {"scale_filler", "shift_filler", "bn_mode"}
EPS = 1e-9  # a double in the source, no field


class SegNetBN(Layer, type="BN", fork="segnet", param="bn_param", tops=(1, 3)):
    """`top = (x - mean) / sqrt(var + 1e-9) * weight + bias`, with the batch's statistics always.

    x is N x C x H x W. Blobs: weight (the scale) and bias (the shift), each 1 x C x 1 x 1. In
    `bn_mode` LEARN mean and biased variance are the batch's in both phases, so that a result
    depends on what else is in the batch; a second and a third top are those two, 1 x C x 1 x 1.
    In INFERENCE `top = x * weight + bias`: a script has put the statistics into the blobs, and
    further tops are never written. Without a filler the weight is 0.

    Errors: ShapeError for bottoms without 4 axes, UnsupportedError for INFERENCE with further tops.
    Caffe: alexgkendall/caffe-segnet, src/caffe/layers/bn_layer.cpp
    """

    family = "normalization"
    fork_fields = ("bn_param",)  # DeconvNet's, which is the same

    def __init__(
        self,
        channels: int,
        *,
        scale_filler: Filler = Filler(),
        shift_filler: Filler = Filler(),
        bn_mode: str = "LEARN",
        tops: int = 1,
    ) -> None:
        super().__init__()
        require(bn_mode in ("LEARN", "INFERENCE"), f"bn_mode {bn_mode!r} is no mode")
        if bn_mode == "INFERENCE" and tops > 1:
            raise UnsupportedError(
                f"{tops} tops, but INFERENCE writes one: Caffe leaves the others unset"
            )
        self.bn_mode, self.top_count = bn_mode, tops
        shape = (1, channels, 1, 1)
        self.add_blob("weight", shape, scale_filler)
        self.add_blob("bias", shape, shift_filler)

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        given = {field.name for field, _ in layer.bn_param.ListFields()}
        return given <= FIELDS and (bool(given) or not blobs or len(blobs) == 2)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> SegNetBN:
        x = bottoms[0]
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4")
        return cls(x[1], tops=len(layer.top), **cls.fields(layer))

    def shapes(self, x: Shape) -> list[Shape]:
        channels = self.weight.shape[1]
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4")
        require(x[1] == channels, f"bottom {x} has {x[1]} channels, the layer has {channels}")
        return [x, *[(1, channels, 1, 1)] * (self.top_count - 1)]

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, ...]:
        if self.bn_mode == "INFERENCE":
            scaled: Tensor = x * self.weight + self.bias
            return scaled
        var, mean = torch.var_mean(x, (0, 2, 3), correction=0, keepdim=True)
        top = (x - mean) / (var + EPS).sqrt() * self.weight + self.bias
        return (top, mean, var)[: self.top_count] if self.top_count > 1 else top

    def onnx(self, op: Op, x: str) -> Values:
        weight, bias = (op.weight(self, name) for name in self.blob_names)
        if self.bn_mode == "INFERENCE":
            return op.Add(op.Mul(x, weight), bias)
        axes = (0, 2, 3)
        mean = op.reduce("ReduceMean", x, axes, keepdims=1)
        centred = op.Sub(x, mean)
        square = op.Mul(centred, centred)
        var = op.reduce("ReduceMean", square, axes, keepdims=1)
        std = op.Sqrt(op.Add(var, op.scalar(EPS)))
        scaled = op.Mul(op.Div(centred, std), weight)
        return (op.Add(scaled, bias), mean, var)[: self.top_count]


class DeconvNetBN(SegNetBN, type="BN", fork="deconvnet", tops=(1, 3)):
    """SegNet's BN, whose source it is, for `--dialect deconvnet`: without it SegNet's reading fits.

    Caffe: HyeonwooNoh/caffe, src/caffe/layers/bn_layer.cpp
    """

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return False
