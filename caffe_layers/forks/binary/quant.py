"""Quant, of HWGQ."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import FLT_MAX, float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape

FORWARD = ("sign", "hard_tanh", "hwgq", "relu")
BACKWARD = ("hard_tanh", "relu")


class Quant(Layer, type="Quant", fork="hwgq", param="quant_param"):
    """An activation of few values, for x of any shape, with the gradient of another.

    `forward_func`: *sign* is 1 from 0 on and else -1; *hard_tanh* is x between -1 and 1; *hwgq* is
    `-negative_slope` up to 0, and above it the nearest of `centers`, a middle's lower one, but 0
    beyond FLT_MAX; *relu* is x, times `negative_slope` below 0.

    `backward_func`: the gradient of *hard_tanh* is 1 from `-clip_thr` to `clip_thr` and else 0;
    that of *relu* is 1 above 0 and `negative_slope` up to it, but 0 above `clip_thr`. A `clip_thr`
    of 0 bounds nothing.

    Errors: ShapeError for other functions, and for centers that do not rise from above 0.
    Caffe: zhaoweicai/hwgq at ebc706b, src/caffe/layers/quant_layer.cpp
    """

    family = "activation"

    def __init__(
        self,
        *,
        forward_func: str = "hwgq",
        backward_func: str = "relu",
        clip_thr: float = 0.0,
        negative_slope: float = 0.0,
        centers: Sequence[float] = (),
    ) -> None:
        super().__init__()
        for name, given, known in (
            ("forward_func", forward_func, FORWARD),
            ("backward_func", backward_func, BACKWARD),
        ):
            require(given in known, f"{name} {given!r} is none of {', '.join(known)}")
        self.centers = tuple(map(float32, centers))
        if forward_func == "hwgq":
            rises = all(low < high for low, high in pairwise((0.0, *self.centers)))
            require(
                rises and len(centers) > 0,
                f"centers {self.centers}, wants some that rise from above 0",
            )
        self.forward_func, self.backward_func = forward_func, backward_func
        self.clip_thr = float32(clip_thr) if clip_thr > 0 else FLT_MAX
        self.negative_slope = float32(negative_slope)

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        return gradient_of(self._value(x.detach()), x * self._slope(x.detach()))

    def _middles(self) -> list[float]:
        return [0.5 * (low + high) for low, high in pairwise(self.centers)]

    def _value(self, x: Tensor) -> Tensor:
        if self.forward_func == "sign":
            return torch.where(x >= 0, 1, -1).to(x.dtype)
        if self.forward_func == "hard_tanh":
            return x.clamp(-1, 1)
        if self.forward_func == "relu":
            return x.clamp(min=0) + self.negative_slope * x.clamp(max=0)
        ends = x.new_tensor([*self._middles(), FLT_MAX])
        steps = x.new_tensor([*self.centers, 0])
        return torch.where(x <= 0, -self.negative_slope, steps[torch.bucketize(x, ends)])

    def _slope(self, x: Tensor) -> Tensor:
        if self.backward_func == "hard_tanh":
            return (x.abs() <= self.clip_thr).to(x.dtype)
        slope = torch.where(x > 0, 1.0, self.negative_slope).to(x.dtype)
        return slope * (x <= self.clip_thr)

    def onnx(self, op: Op, x: str) -> Values:
        if self.forward_func == "sign":
            return op.Where(op.GreaterOrEqual(x, op.scalar(0)), op.scalar(1), op.scalar(-1))
        if self.forward_func == "hard_tanh":
            return op.Min(op.Max(x, op.scalar(-1)), op.scalar(1))
        if self.forward_func == "relu":
            return op.LeakyRelu(x, alpha=self.negative_slope)
        low = op.scalar(-self.negative_slope)
        y = op.Where(op.Greater(x, op.scalar(0)), op.scalar(self.centers[0]), low)
        for middle, center in zip(self._middles(), self.centers[1:], strict=True):
            y = op.Where(op.Greater(x, op.scalar(middle)), op.scalar(center), y)
        return op.Where(op.Greater(x, op.scalar(FLT_MAX)), op.scalar(0), y)
