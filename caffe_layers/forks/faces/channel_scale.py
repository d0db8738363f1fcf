"""ChannelScale, from happynear."""

from __future__ import annotations

from math import prod
from typing import Any

from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.arithmetic.linear_map import require_fixed_sizes
from caffe_layers.base.checks import legacy_shape, require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError, UnsupportedError


class ChannelScale(
    Layer,
    type="ChannelScale",
    fork="happynear",
    param="channel_scale_param",
    bottoms=2,
    tops=(1, 2),
):
    """`top = x * s` for x, N x C x H x W, and a scale s for every pixel, of N H W values.

    Without `do_forward` the top is x; without `do_backward_feature` x gets the top's gradient as
    it is, without `do_backward_scale` s gets none. With `global_scale` a blob, 1 number between
    `min_global_scale` and `max_global_scale`, takes the place of s, and is the second top.

    Errors: ShapeError for an s of other sizes; UnsupportedError for training a global scale.
    Caffe: happynear/caffe-windows, src/caffe/layers/channel_scale_layer.cpp
    """

    family = "scale"

    def __init__(
        self,
        *,
        do_forward: bool = True,
        do_backward_feature: bool = True,
        do_backward_scale: bool = True,
        global_scale: bool = False,
        max_global_scale: float = 1000.0,
        min_global_scale: float = 0.0,
        init_global_scale: float = 1.0,
        tops: int = 1,
    ) -> None:
        super().__init__()
        self.do_forward = do_forward
        self.do_backward_feature = do_backward_feature
        self.do_backward_scale = do_backward_scale
        self.global_scale = global_scale
        self.bounds = float32(min_global_scale), float32(max_global_scale)
        self.top_count = tops
        wanted = 2 if global_scale else 1
        require(tops <= wanted, f"{tops} tops, wants 1: the second is a global scale's")
        if global_scale:
            self.add_blob("weight", (1,), Filler(value=init_global_scale), learnable=False)

    @classmethod
    def learns(cls, layer: Any) -> bool:
        return bool(layer.channel_scale_param.global_scale)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> ChannelScale:
        return cls(tops=len(layer.top), **cls.fields(layer))

    def shapes(self, x: Shape, s: Shape) -> list[Shape]:
        n, _, h, w = legacy_shape(x, "bottom")
        if s[:1] != x[:1] or prod(s) != n * h * w:
            raise ShapeError(
                f"the scale is {s}, wants a value for every pixel of {x}: {n} x {h * w}"
            )
        return [x, (1,)] if self.top_count == 2 else [x]

    def forward(self, x: Tensor, s: Tensor) -> Tensor | tuple[Tensor, ...]:
        if self.global_scale and self.training:
            raise UnsupportedError(
                "versions differ in how a global scale learns", fix="run the layer in TEST"
            )
        if self.global_scale:
            factor = self.weight.clamp(*self.bounds)
            top = x * factor if self.do_forward else x
            return (top, factor) if self.top_count == 2 else top
        s = s.reshape((x.shape[0], 1, *x.shape[2:]) if x.dim() > 1 else x.shape)
        if not self.do_backward_scale:
            s = s.detach()
        product = x * s
        wanted = product if self.do_forward else x
        if self.do_forward and self.do_backward_feature:
            return product
        # What goes backward is not what goes forward: x's share and s's share of the product.
        share = x.detach() * s
        share = share + (x * s.detach() if self.do_backward_feature else x)
        return gradient_of(wanted, share)

    def onnx(self, op: Op, x: str, s: str) -> Values:
        if self.global_scale:
            factor = self.weight.detach().clamp(*self.bounds).cpu().numpy()
            value = op.array("bounded_scale", factor)
            top = op.Mul(x, value) if self.do_forward else x
            return (top, value) if self.top_count == 2 else top
        if not self.do_forward:
            return x
        n, *rest = op.shape(x)
        wanted = (n, *((1, *rest[1:]) if rest else ()))
        if op.shape(s) != wanted:
            require_fixed_sizes(op, x)
            s = op.Reshape(s, op.ints(0, *wanted[1:]))
        return op.Mul(x, s)
