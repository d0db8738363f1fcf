"""What Convolution, Deconvolution and Im2col have in common."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypedDict

from torch import Tensor
from typing_extensions import Required

from caffe_layers.arithmetic.window import Sizes, Window, make_window, read_window
from caffe_layers.base.checks import require
from caffe_layers.base.filler import Filler
from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Py
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError, UnsupportedError


class ChannelwiseFields(TypedDict, total=False):
    """What a convolution of each channel by itself is told: the others' keywords, but for two."""

    kernel_size: Required[Sizes]
    bias_term: bool
    pad: Sizes
    stride: Sizes
    dilation: Sizes
    axis: int
    weight_filler: Filler
    bias_filler: Filler


class WindowFields(ChannelwiseFields, total=False):
    """What a convolution is told, for those that hand it on: `BaseConvolution`'s keywords."""

    num_output: Required[int]
    group: int


class BaseConvolution(Layer, param="convolution_param"):
    """Products of a sliding window with weights: each bottom gives one top, all by one weight.

    `axis` is the channels'; axes before it count as batch, the window moves over those after it.

    Caffe: BVLC/caffe, src/caffe/layers/base_conv_layer.cpp
    """

    family = "convolution"

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
            if group <= 0 or number % group != 0:
                raise ShapeError(f"{number} {name} cannot be split into group {group}")
        self.add_blob("weight", self.weight_shape(), weight_filler)
        if bias_term:
            self.add_blob("bias", self.bias_shape(), bias_filler)
        else:
            self.register_parameter("bias", None)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> BaseConvolution:
        require(
            len(layer.top) == len(bottoms),
            f"{len(bottoms)} bottoms and {len(layer.top)} tops, wants one top for each bottom",
        )
        axis, window = read_window(layer.convolution_param, bottoms[0])
        return cls(bottoms[0][axis], **cls.fields(layer, axis=axis, **window))

    def weight_shape(self) -> Shape:
        """Return the weight's shape."""
        raise NotImplementedError

    def bias_shape(self) -> Shape:
        """Return the bias' shape: num_output values, in some forks behind axes of 1."""
        return (self.num_output,)

    def places(self, spatial: Shape) -> Shape:
        """Return the tops' spatial sizes for the bottoms'."""
        raise NotImplementedError

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        first, axis = bottoms[0], self.axis
        axes = axis + 1 + len(self.window.kernel)
        require(len(first) == axes, f"bottom {first} has {len(first)} axes, the layer wants {axes}")
        got = first[axis]
        require(got == self.channels, f"bottom {first} has {got} channels, wants {self.channels}")
        for bottom in bottoms:
            require(bottom == first, f"bottoms {first} and {bottom} differ, wants one shape")
        top = (*first[:axis], self.num_output, *self.places(first[axis + 1 :]))
        if min(top) < 1:
            kernel = self.window.kernel
            raise ShapeError(f"the top would be {top}: kernel_size {kernel} does not fit {first}")
        return [top] * len(bottoms)

    @property
    def details(self) -> list[str]:
        return self.window.details(self.group)

    @property
    def absorbs(self) -> bool:
        """Tell whether an affine step behind it can go into its weights, filter by filter."""
        return False

    def drawn_window(self) -> Window:
        """Return the window; where the layer has no spatial axis, one that covers one place."""
        return self.window if self.window.kernel else make_window((1,))

    def drawn_weight(self) -> Tensor:
        """Return the weight for `drawn_window`, as it is used: some forks round it first."""
        weight: Tensor = self.weight
        return weight if self.window.kernel else weight.unsqueeze(-1)

    def drawn_bias(self) -> Tensor | None:
        """Return the bias as num_output values."""
        return None if self.bias is None else self.bias.flatten()

    def each(
        self, bottoms: Sequence[Tensor], slide: Callable[[Tensor], Tensor]
    ) -> Tensor | tuple[Tensor, ...]:
        """Return what `slide` makes of every bottom."""
        axis, spatial = self.axis, len(self.window.kernel)
        tops = tuple(
            unbatched(slide(batched(x, axis)), tuple(x.shape[:axis]), spatial) for x in bottoms
        )
        return tops[0] if len(tops) == 1 else tops

    def torch_module(self, py: Py, kind: str) -> str:
        """Declare torch's module of a kind (Conv, ConvTranspose) in Python source."""
        axes = len(self.window.kernel)
        if not 1 <= axes <= 3 or self.axis != 1:
            raise UnsupportedError(f"torch has no {kind} of {axes} axes behind axis {self.axis}")
        kernel, stride, pad, dilation = map(py.sizes, self.window)
        return py.module(
            f"nn.{kind}{axes}d",
            self.channels,
            self.num_output,
            kernel,
            stride=stride,
            padding=pad,
            dilation=dilation,
            groups=self.group,
            bias=self.bias is not None,
            tensors={"weight": self.weight, "bias": self.drawn_bias()},
        )

    def onnx_weights(self, op: Op) -> list[str]:
        """Return the names of the weight and, where there is one, the bias, as they are used."""
        weights = [op.weight(self, "weight", shape=self.drawn_weight().shape)]
        if "bias" in self.blob_names:
            weights.append(op.weight(self, "bias", shape=(self.num_output,)))
        return weights

    def onnx_each(
        self,
        op: Op,
        op_type: str,
        bottoms: Sequence[str],
        pads: Sequence[int] | None,
        *,
        auto_pad: str | None = None,
    ) -> list[str]:
        """Append one Conv or ConvTranspose for each bottom; `auto_pad` takes the place of pads."""
        weights = self.onnx_weights(op)
        return [
            self.onnx_one(op, op_type, x, weights, op.shape(top), pads, auto_pad=auto_pad)
            for x, top in zip(bottoms, op.tops, strict=True)
        ]

    def onnx_one(
        self,
        op: Op,
        op_type: str,
        x: str,
        weights: Sequence[str],
        top: Shape,
        pads: Sequence[int] | None,
        *,
        auto_pad: str | None = None,
    ) -> str:
        """Append the Conv or ConvTranspose of one bottom, whose top has the shape `top`."""
        return onnx_slide(
            op,
            op_type,
            x,
            weights,
            self.drawn_window(),
            top,
            pads,
            axis=self.axis,
            seen=self.onnx_bottom(op, x),
            group=self.group,
            auto_pad=auto_pad,
        )

    def onnx_bottom(self, op: Op, x: str) -> str:
        """Append what happens to a bottom before the window sees it: here nothing."""
        return x


def batched(x: Tensor, axis: int) -> Tensor:
    """Return x with one axis before the channels' axis, and at least one after it."""
    if axis != 1:
        x = x.flatten(0, axis - 1) if axis else x.unsqueeze(0)
    return x if x.dim() > 2 else x.unsqueeze(-1)


def unbatched(y: Tensor, lead: Shape, spatial: int) -> Tensor:
    """Return y with the axes `lead` before the channels' and `spatial` ones after it."""
    y = y if spatial else y.squeeze(-1)
    return y if len(lead) == 1 else y.reshape(*lead, *y.shape[1:])


def onnx_conv_pads(op: Op, x: str, window: Window, axis: int) -> list[int]:
    """Return a Conv's pads, with zeros at the end for a window larger than the bottom."""
    spatial = op.shape(x)[axis + 1 :] or (1,)
    missing = window.missing(spatial)
    if any(missing) and any(op.dynamic(x)[axis + 1 :]):
        raise UnsupportedError(
            f"a kernel {window.kernel} larger than the bottom {spatial} needs its size fixed",
            fix="export with a dynamic batch alone",
        )
    return [*window.pad, *(pad + more for pad, more in zip(window.pad, missing, strict=True))]


def _sees_places(window: Window) -> bool:
    """Tell whether a window looks at every place, at one after the other."""
    return {*window.kernel, *window.stride} == {1}


def _padded(op: Op, x: str, pads: Sequence[int] | None) -> str:
    """Append zeros around the spatial axes, which some engines forget where a product is all."""
    if not pads or not any(pads):
        return x
    axes = len(pads) // 2
    return op.Pad(x, op.ints(0, 0, *pads[:axes], 0, 0, *pads[axes:]))


def onnx_slide(
    op: Op,
    op_type: str,
    x: str,
    weights: Sequence[str],
    window: Window,
    top: Shape,
    pads: Sequence[int] | None,
    *,
    group: int,
    auto_pad: str | None = None,
    axis: int = 1,
    seen: str = "",
) -> str:
    """Append a Conv or ConvTranspose, between two Reshapes where the axes are not ONNX's.

    `top` is the shape of what it makes, `seen` a value of x's shape that it reads in x's place.
    """

    def slide(read: str, pads: Sequence[int] | None) -> str:
        return op.append(
            op_type,
            read,
            *weights,
            kernel_shape=window.kernel,
            strides=window.stride,
            dilations=window.dilation,
            pads=pads,
            auto_pad=auto_pad,
            group=group,
        )

    shape, moves = op.shape(x), op.dynamic(x)
    if axis == 1 and len(shape) > 2:
        read = seen or x
        if op_type == "Conv" and _sees_places(window):
            read, pads = _padded(op, read, pads), pads and [0] * len(pads)
        return slide(read, pads)
    if any(moves[axis:]):
        raise UnsupportedError(
            f"the sizes of {shape} from axis {axis} on must be known",
            fix="export with a dynamic batch alone",
        )
    inner = (-1, *shape[axis:], *(() if len(shape) > axis + 1 else (1,)))
    flat = op.Reshape(seen or x, op.ints(*inner))
    y = slide(flat, pads)
    return op.reshape(y, top, [*moves[:axis], *[False] * (len(top) - axis)])
