"""ShuffleChannel, from ShuffleNet."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape


class ShuffleChannel(Layer, type="ShuffleChannel", fork="mobile", param="shuffle_channel_param"):
    """The channels of N x C x ... dealt out anew: `top[j * group + i] = x[i * (C / group) + j]`.

    Errors: ShapeError for a bottom of one axis, and for channels that do not split into groups.
    Caffe: farmingyard/ShuffleNet, shuffle_channel_layer.cpp
    """

    def __init__(self, *, group: int = 1) -> None:
        super().__init__()
        require(group > 0, f"group is {group}, wants 1 or more")
        self.group = group

    def shapes(self, x: Shape) -> list[Shape]:
        require(len(x) >= 2, f"bottom {x} has {len(x)} axes, wants 2 or more")
        require(x[1] % self.group == 0, f"{x[1]} channels do not split into group {self.group}")
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        split = x.reshape(x.shape[0], self.group, x.shape[1] // self.group, *x.shape[2:])
        return split.transpose(1, 2).flatten(1, 2)

    def onnx(self, op: Op, x: str) -> Values:
        shape = op.shape(x)
        pair = (self.group, shape[1] // self.group)
        # The places of a channel count as one axis: then at most the batch is free beside it.
        flat = op.Reshape(x, op.ints(0, *pair, -1))
        dealt = op.Transpose(flat, perm=[0, 2, 1, 3])
        if not any(op.dynamic(x)[2:]):
            return op.Reshape(dealt, op.ints(0, shape[1], *shape[2:]))
        return op.Reshape(dealt, op.Shape(x))
