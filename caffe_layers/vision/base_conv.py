"""What Convolution and Deconvolution have in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from torch import Tensor

from prototxt.errors import UnsupportedError

from ..checks import require, require_values
from ..filler import Filler
from ..layer import Layer, Shape
from ..window import Sizes, Window, make_window, read_window

Self = TypeVar("Self", bound="BaseConvolution")


class BaseConvolution(Layer):
    """Products of a sliding window with weights: each bottom gives one top, all by one weight.

    `axis` is the channels'; axes before it count as batch, the window moves over those after it.

    Caffe: BVLC/caffe, src/caffe/layers/base_conv_layer.cpp
    """

    def __init__(
        self,
        channels: int,
        *,
        num_output: int,
        kernel_size: Sizes,
        bias_term: bool = True,
        pad: Sizes = 0,
        stride: Sizes = 1,
        dilation: Sizes = 1,
        group: int = 1,
        axis: int = 1,
        weight_filler: Filler = Filler(),
        bias_filler: Filler = Filler(),
    ) -> None:
        super().__init__()
        self.channels, self.num_output, self.group, self.axis = channels, num_output, group, axis
        self.window = make_window(kernel_size, stride, pad, dilation)
        require(num_output > 0, f"num_output {num_output} wants 1 or more")
        for name, number in (("channels", channels), ("num_output", num_output)):
            fits = group > 0 and number % group == 0
            require(fits, f"{number} {name} cannot be split into group {group}")
        self.add_blob("weight", self.weight_shape(), weight_filler)
        if bias_term:
            self.add_blob("bias", (num_output,), bias_filler)
        else:
            self.register_parameter("bias", None)

    @classmethod
    def from_caffe(cls: type[Self], layer: Any, bottoms: list[Shape]) -> Self:
        require(
            len(layer.top) == len(bottoms),
            f"{len(bottoms)} bottoms and {len(layer.top)} tops, wants one top for each bottom",
        )
        param = layer.convolution_param
        axis, window = read_window(param, bottoms[0])
        return cls(
            bottoms[0][axis],
            num_output=param.num_output,
            kernel_size=window.kernel,
            bias_term=param.bias_term,
            pad=window.pad,
            stride=window.stride,
            dilation=window.dilation,
            group=param.group,
            axis=axis,
            weight_filler=Filler.from_caffe(param.weight_filler),
            bias_filler=Filler.from_caffe(param.bias_filler),
        )

    def weight_shape(self) -> Shape:
        """Return the weight's shape."""
        raise NotImplementedError

    def places(self, spatial: Shape) -> Shape:
        """Return the tops' spatial sizes for the bottoms'."""
        raise NotImplementedError

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        first, axis = bottoms[0], self.axis
        axes = axis + 1 + len(self.window.kernel)
        require(len(first) == axes, f"bottom {first} has {len(first)} axes, the layer wants {axes}")
        got = first[axis]
        require(got == self.channels, f"bottom {first} has {got} channels, wants {self.channels}")
        require_values(first, "bottom")
        for bottom in bottoms:
            require(bottom == first, f"bottoms {first} and {bottom} differ, wants one shape")
        top = (*first[:axis], self.num_output, *self.places(first[axis + 1 :]))
        if min(top) < 1:
            kernel = self.window.kernel
            require(False, f"the top would be {top}: kernel_size {kernel} does not fit {first}")
        return [top] * len(bottoms)

    def batched(self, x: Tensor) -> Tensor:
        """Return x with one axis before the channels' and at least one after it."""
        if self.axis == 0:
            x = x.unsqueeze(0)
        elif self.axis > 1:
            x = x.flatten(0, self.axis - 1)
        return x if self.window.kernel else x.unsqueeze(-1)

    def unbatched(self, y: Tensor, x: Tensor) -> Tensor:
        """Return the top y in the axes of the bottom x."""
        y = y if self.window.kernel else y.squeeze(-1)
        if self.axis == 0:
            return y.squeeze(0)
        return y.reshape(*x.shape[: self.axis], *y.shape[1:]) if self.axis > 1 else y

    def drawn_window(self) -> Window:
        """Return the window; where the layer has no spatial axis, one that covers one place."""
        return self.window if self.window.kernel else make_window((1,))

    def drawn_weight(self) -> Tensor:
        """Return the weight for `drawn_window`."""
        weight: Tensor = self.weight
        return weight if self.window.kernel else weight.unsqueeze(-1)

    def onnx_each(self, op: Any, op_type: str, bottoms: Sequence[str], **attributes: Any) -> Any:
        """Append one Conv or ConvTranspose for each bottom."""
        window = self.drawn_window()
        attributes |= {
            "kernel_shape": window.kernel,
            "strides": window.stride,
            "dilations": window.dilation,
            "group": self.group,
        }
        weights = [op.weight(self, "weight", shape=self.drawn_weight().shape)]
        if "bias" in self.blob_names:
            weights.append(op.weight(self, "bias"))
        as_is = self.axis == 1 and self.window.kernel
        for index, x in enumerate(bottoms):
            to: dict[str, Any] = {"top": index} if len(bottoms) > 1 else {}
            if as_is:
                getattr(op, op_type)(x, *weights, **to, **attributes)
                continue
            inner = (-1, *op.shape(x)[self.axis :], *(() if self.window.kernel else (1,)))
            moves = (False, *op.dynamic(x)[self.axis :])
            if any(moves):
                raise UnsupportedError(
                    f"the window's sizes of {op.shape(x)} must be known with axis {self.axis}",
                    fix="export with a dynamic batch alone",
                )
            flat = op.Reshape(x, op.ints(*inner), name=f"batched:{index}")
            y = getattr(op, op_type)(flat, *weights, name=f"product:{index}", **attributes)
            op.reshape_to_top(y, index)
        return op.tops
