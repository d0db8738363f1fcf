"""Reorg, of darknet."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.message import fork_field, is_set
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class Reorg(Layer, type="Reorg", fork="yolo", param="reorg_param"):
    """N x C x H x W becomes N x (C s s) x (H / s) x (W / s), with s = `stride`; not by blocks.

    Darknet takes the sizes of the bottom for those of the top: the values of an image are read as
    (C / (s s)) x (H s) x (W s), every s x s block of it goes into s s channels, channel
    `(row * s + column) * C / (s s) + c`, and what comes of that is named anew. `reverse` spreads
    channels over blocks: N x (C / (s s)) x (H s) x (W s).

    Without a stride it is 2, choasup's default; eric612's Caffe has none and divides by 0.

    Errors: ShapeError for a stride of 0, C that s s does not divide, and sizes that s does not.
    Caffe: eric612/MobileNet-YOLO, include/caffe/layers/reorg_layer.hpp; choasup/caffe-yolo9000,
    src/caffe/layers/reorg_layer.cpp
    """

    def __init__(self, *, stride: int, reverse: bool = False) -> None:
        super().__init__()
        require(stride > 0, f"stride {stride} wants 1 or more")
        self.stride, self.reverse = stride, reverse

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Reorg:
        param = fork_field(layer, "reorg_param")
        said = param is not None and is_set(param, "stride")
        return cls(**cls.fields(layer, stride=param.stride if said else 2))

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4: N x C x H x W")
        n, c, h, w = x
        s = self.stride
        require(c % (s * s) == 0, f"bottom {x} has {c} channels, wants a multiple of {s * s}")
        if self.reverse:
            return [(n, c // (s * s), h * s, w * s)]
        require(h % s == w % s == 0, f"bottom {x} wants sizes that the stride {s} divides")
        return [(n, c * s * s, h // s, w // s)]

    def forward(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        s = self.stride
        few = c // (s * s)
        top = self.shapes((n, c, h, w))[0]
        if self.reverse:
            return x.reshape(n, s, s, few, h, w).permute(0, 3, 4, 1, 5, 2).reshape(top)
        return x.reshape(n, few, h, s, w, s).permute(0, 3, 5, 1, 2, 4).reshape(top)

    def onnx(self, op: Op, x: str) -> Values:
        s = self.stride
        if self.reverse:
            return op.DepthToSpace(x, blocksize=s, mode="DCR")
        channels = op.shape(x)[1]
        sizes = op.Shape(x)
        plane = op.Slice(sizes, op.ints(2), op.ints(4))
        large = op.Mul(plane, op.ints(s))
        large = op.Concat(op.ints(0, channels // (s * s)), large, axis=0)
        blocks = op.SpaceToDepth(op.Reshape(x, large), blocksize=s)
        small = op.Div(plane, op.ints(s))
        small = op.Concat(op.ints(0, channels * s * s), small, axis=0)
        return op.Reshape(blocks, small)
