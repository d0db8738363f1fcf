"""Reorg, of darknet, and what YOLOv5's exporters make of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch.nn.functional as F
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

    Where s s does not divide C, darknet has nothing: such a layer is a `SpaceToDepth`, as each is
    with `--dialect yolov5`.

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
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Layer:
        param = fork_field(layer, "reorg_param")
        said = param is not None and is_set(param, "stride")
        made = cls(**cls.fields(layer, stride=param.stride if said else 2))
        if not made.reverse and len(bottoms[0]) == 4 and bottoms[0][1] % made.stride**2:
            return SpaceToDepth(stride=made.stride)
        return made

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


class SpaceToDepth(Layer, type="Reorg", fork="yolov5", param="reorg_param"):
    """N x C x H x W becomes N x (C s s) x (H / s) x (W / s): every s x s block becomes channels.

    Value (i, j) of channel c's blocks is channel `c s s + i s + j`, as torch's pixel_unshuffle has
    it. `reverse` changes nothing. So it is on the fork's GPU, on which its networks with a `focus`
    were made; on its CPU other values are read.

    Errors: ShapeError without a stride, and for sizes that s does not divide.
    Caffe: Wulingtian/yolov5_caffe at 9c13b6d, src/caffe/layers/reorg_layer.cu
    """

    only_by_name = True

    def __init__(self, *, stride: int, reverse: bool = False) -> None:
        super().__init__()
        require(stride > 0, f"stride {stride} wants to be given, and 1 or more")
        self.stride = stride

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) == 4, f"bottom {x} has {len(x)} axes, wants 4: N x C x H x W")
        n, c, h, w = x
        s = self.stride
        require(h % s == w % s == 0, f"bottom {x} wants sizes that the stride {s} divides")
        return [(n, c * s * s, h // s, w // s)]

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_unshuffle(x, self.stride)

    def onnx(self, op: Op, x: str) -> Values:
        s, c = self.stride, op.shape(x)[1]
        # SpaceToDepth has the places of a block before the channels.
        blocks = op.SpaceToDepth(x, blocksize=s)
        order = np.arange(c * s * s).reshape(s * s, c).T.ravel()
        return op.Gather(blocks, op.const(order), axis=1)
