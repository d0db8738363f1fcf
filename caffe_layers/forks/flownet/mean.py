"""Mean, from FlowNet2."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from caffe_layers.base.checks import legacy_shape, require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt import read_blob
from prototxt.errors import ShapeError


class Mean(
    Layer, type="Mean", fork="flownet2", param="mean_param", bottoms=(1, None), tops=(1, None)
):
    """`top = output_scale * (input_scale * x +- mean_scale * mean)`, for each bottom a top.

    `operation` is ADD or SUBTRACT. `mean` is one value for each channel, C' x 1 x 1, or an image
    C' x H x W (`file`, a BlobProto); where x has more channels they repeat, so C' divides C.

    Errors: ShapeError where numbers of bottoms and tops differ, without a mean, and for one that
    does not fit.
    Caffe: lmb-freiburg/flownet2, src/caffe/layers/mean_layer.cpp
    """

    mean: Tensor

    def __init__(
        self,
        mean: NDArray[np.float32],
        *,
        operation: str,
        mean_scale: float = 1.0,
        input_scale: float = 1.0,
        output_scale: float = 1.0,
    ) -> None:
        super().__init__()
        assert operation in ("ADD", "SUBTRACT")
        self.mean_scale = float32(mean_scale) * (1 if operation == "ADD" else -1)
        self.input_scale = float32(input_scale)
        self.output_scale = float32(output_scale)
        self.register_buffer("mean", torch.tensor(mean), persistent=False)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Mean:
        tops = len(layer.top)
        require(tops == len(bottoms), f"{len(bottoms)} bottoms and {tops} tops, wants as many")
        param = layer.mean_param
        if param.HasField("file"):
            image = read_blob(param.file)
            shape = legacy_shape(image.shape, "mean")
            require(shape[0] == 1, f"the mean in {param.file} is {shape}, wants 1 image")
            mean = np.asarray(image.values, np.float32).reshape(shape[1:])
        else:
            require(len(param.value) > 0, "no mean, wants value or file")
            mean = np.array(param.value, np.float32).reshape(-1, 1, 1)
        return cls(mean, **cls.fields(layer))

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        tops: list[Shape] = []
        for x in bottoms:
            n, c, h, w = legacy_shape(x, "bottom")
            channels, *image = self.mean.shape
            if c % channels != 0:
                raise ShapeError(
                    f"bottom {x} has {c} channels, wants a multiple of the mean's {channels}"
                )
            if image not in ([1, 1], [h, w]):
                raise ShapeError(f"bottom {x} is {h} x {w}, the mean {image[0]} x {image[-1]}")
            tops.append((n, c, h, w))
        return tops

    def forward(self, *bottoms: Tensor) -> Tensor | tuple[Tensor, ...]:
        tops = tuple(self._shifted(x) for x in bottoms)
        return tops[0] if len(tops) == 1 else tops

    def _shifted(self, x: Tensor) -> Tensor:
        n, c, h, w = legacy_shape(x.shape, "bottom")
        repeated = self.mean.to(x.dtype).repeat(c // self.mean.shape[0], 1, 1)
        x = x.reshape(n, c, h, w)
        return self.output_scale * (self.input_scale * x + self.mean_scale * repeated)

    def onnx(self, op: Op, *bottoms: str) -> Values:
        shifted = []
        for x, top in zip(bottoms, op.tops, strict=True):
            n, c, h, w = op.shape(top)
            mean = self.mean.detach().cpu().double().numpy()
            shift = np.tile(mean, (c // len(mean), 1, 1)) * self.mean_scale * self.output_scale
            factor = self.input_scale * self.output_scale
            if len(op.shape(x)) != 4:
                x = op.reshape(x, (n, c, h, w), op.dynamic(top))
            if factor != 1:
                x = op.Mul(x, op.scalar(factor))
            shifted.append(op.Add(x, op.array("mean", shift)))
        return shifted
