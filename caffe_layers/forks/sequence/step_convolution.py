"""The convolution that every step of a ConvLSTM does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from caffe_layers.arithmetic.window import Window, make_window
from caffe_layers.base.checks import require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op
from caffe_layers.base.shape import Shape

UNREAD = ("kernel_h", "kernel_w", "pad_h", "pad_w", "stride_h", "stride_w")
KINDS = ("all", "input", "hidden")


class StepConvolution:
    """What an `lstm_conv_param` says: a convolution into the 4 gates of `num_output` maps each.

    Raises ShapeError for a kernel that is not given, and for the fields of height and width alone,
    which the fork does not hand on to its convolution.
    """

    def __init__(self, param: Any) -> None:
        for name in UNREAD:
            require(not param.HasField(name), f"{name} is set, which ConvLSTM passes over")
        sizes = list(param.kernel_size)
        require(len(sizes) in (1, 2), f"kernel_size {sizes} wants one number, or two")
        self.num_output, self.group = param.num_output, param.group
        require(self.num_output > 0, f"num_output is {self.num_output}, wants 1 or more")
        self.window: Window = make_window(
            _pair(sizes, 1), _pair(param.stride, 1), _pair(param.pad, 0), _pair(param.dilation, 1)
        )
        self.bias_term = param.bias_term
        self.weight_filler = Filler.from_caffe(param.weight_filler)
        self.bias_filler = Filler.from_caffe(param.bias_filler)

    @classmethod
    def pair(
        cls, params: Sequence[Any], *, ignore_x: bool
    ) -> tuple[StepConvolution | None, StepConvolution]:
        """Return the convolutions of x, None where it is ignored, and of the state."""
        count = len(params)
        require(count in (1, 2), f"{count} lstm_conv_param, wants one, or one of each type")
        for param in params:
            require(param.type in KINDS, f"type {param.type!r} wants {', '.join(KINDS)}")
        first, last = params[0], params[count - 1]
        of_x, of_h = (last if first.type == other else first for other in ("hidden", "input"))
        require(of_h.type != "input", "no lstm_conv_param is of the state")
        require(ignore_x or of_x.type != "hidden", "no lstm_conv_param is of x")
        numbers = (of_x.num_output, of_h.num_output)
        require(len({*numbers}) == 1, f"num_output {numbers} of x and the state differ")
        return None if ignore_x else cls(of_x), cls(of_h)

    def weight_shape(self, channels: int) -> Shape:
        """Return the weight's shape for a bottom of so many channels."""
        gates = 4 * self.num_output
        for count in (channels, gates):
            splits = self.group > 0 and count % self.group == 0
            require(splits, f"{count} channels cannot be split into group {self.group}")
        return (gates, channels // self.group, *self.window.kernel)

    def require_same(self, plane: Shape) -> None:
        """Raise ShapeError if the convolution makes maps of another height or width."""
        after = self.window.convolved(plane)
        require(after == plane, f"a convolution makes {after} of maps {plane}: wants them the same")

    def slide(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return the gates of N x C x H x W."""
        window = self.window
        return F.conv2d(x, weight, bias, window.stride, window.pad, window.dilation, self.group)

    def emit(self, op: Op, layer: Layer, x: str, *blobs: str) -> str:
        """Append what `slide` does, with a layer's blobs of these names, as far as it has them."""
        window = self.window
        return op.Conv(
            x,
            *(op.weight(layer, name) for name in blobs if name in layer.blob_names),
            kernel_shape=window.kernel,
            strides=window.stride,
            pads=(*window.pad, *window.pad),
            dilations=window.dilation,
            group=self.group,
        )


def _pair(numbers: Sequence[int], default: int) -> Shape:
    """Return a number for height and one for width."""
    return tuple(numbers) if len(numbers) > 1 else (numbers[0] if numbers else default,) * 2
