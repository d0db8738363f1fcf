"""Convolution."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor
from typing_extensions import Unpack

from caffe_layers.arithmetic.rectifier import onnx_rectify, rectify, rectify_source
from caffe_layers.arithmetic.tf_pad import same_pads, same_places
from caffe_layers.arithmetic.window import pad_spatial
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Py, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import ShapeError, UnsupportedError

from .base_conv import WindowFields
from .cross_correlation import NATIVE, CrossCorrelation

PADDINGS = ("SAME", "VALID")


class Convolution(CrossCorrelation, type="Convolution", bottoms=(1, None), tops=(1, None)):
    """`top = weight * bottom + bias`, a cross-correlation of N x C x H x W with O filters.

    Blobs: weight O x C/group x kernel, bias O. The top is N x O x H' x W' with
    `H' = (H + 2 pad - extent) / stride + 1`, `extent = dilation * (kernel - 1) + 1`. Any number of
    spatial axes will do, none included: then each place is an inner product over the channels.
    Several bottoms of one shape go through the same weight to as many tops.

    The division truncates toward 0 as C++ does, so that a kernel that is larger than the bottom by
    less than a stride still gives one place, where it sees zeros beyond the end.

    DeepLab's `hole`, or `hole_h` and `hole_w`, is the dilation, alike yjxiong's `dilation_h` and
    `dilation_w`. Intel's `relu` puts a ReLU with `negative_slope` behind the sum. chuanqi305's
    `tf_pad` takes the place of `pad`: VALID is none, SAME so many zeros that a stride of s leaves
    `ceil(H / s)` places, an odd one at the end.

    Errors: ShapeError where numbers of kernel_size, pad, stride or dilation do not fit the axes,
    the channels do not split into groups, or the top would be empty.
    Caffe: BVLC/caffe, src/caffe/layers/conv_layer.cpp
    """

    fork_fields = (
        "convolution_param.dilation_h",
        "convolution_param.dilation_w",
        "convolution_param.hole",
        "convolution_param.hole_h",
        "convolution_param.hole_w",
        "convolution_param.relu",
        "convolution_param.negative_slope",
        "convolution_param.tf_pad",
    )

    def __init__(
        self,
        channels: int,
        *,
        relu: bool = False,
        negative_slope: float = 0.0,
        tf_pad: str | None = None,
        **window: Unpack[WindowFields],
    ) -> None:
        super().__init__(channels, **window)
        self.tf_pad = tf_pad
        if tf_pad is not None:
            if tf_pad not in PADDINGS:
                raise ShapeError(f"tf_pad {tf_pad!r} is none of {', '.join(PADDINGS)}")
            self.window = self.window._replace(pad=(0,) * len(self.window.kernel))
        self.relu = relu
        self.negative_slope = float32(negative_slope)

    def places(self, spatial: Shape) -> Shape:
        if self.tf_pad != "SAME":
            return super().places(spatial)
        same_pads(self.window, spatial)
        return same_places(self.window, spatial)

    @property
    def absorbs(self) -> bool:
        return self.axis == 1 and not self.relu and self.weight.shape[0] == self.num_output

    def convolve(self, x: Tensor) -> Tensor:
        if self.tf_pad == "SAME":
            x = pad_spatial(x, *same_pads(self.window, x.shape[2 : 2 + len(self.window.kernel)]))
        y = super().convolve(x)
        return rectify(y, self.negative_slope) if self.relu else y

    def bound(self, *bottoms: Shape) -> Callable[[Tensor], Tensor] | None:
        blobs = self.live_blobs
        plain = self.axis == 1 and self.tf_pad is None and len(bottoms) == 1 and not self.relu
        if not plain or "weight" not in blobs or (self.bias is not None and self.bias.dim() != 1):
            return None
        kernel, stride, pad, dilation = self.window
        if len(kernel) not in NATIVE or any(self.window.missing(bottoms[0][2:])):
            return None
        native, group = NATIVE[len(kernel)], self.group
        return lambda x: native(x, blobs["weight"], blobs["bias"], stride, pad, dilation, group)

    def onnx(self, op: Op, *bottoms: str) -> Values:
        if self.tf_pad != "SAME" or not self.window.kernel:
            return super().onnx(op, *bottoms)
        sizes = slice(self.axis + 1, None)
        if any(op.dynamic(bottoms[0])[sizes]):
            for stride, kernel in zip(self.window.stride, self.window.kernel, strict=True):
                if kernel < stride:
                    below = f"of a kernel {kernel} below its stride {stride}"
                    raise ShapeError(
                        f"tf_pad SAME {below} wants fixed sizes",
                        fix="export with a dynamic batch alone",
                    )
            return self.onnx_each(op, "Conv", bottoms, None, auto_pad="SAME_UPPER")
        before, after = same_pads(self.window, op.shape(bottoms[0])[sizes])
        return self.onnx_each(op, "Conv", bottoms, [*before, *after])

    def python(self, py: Py, *bottoms: str) -> str:
        if self.tf_pad == "SAME" or any(self.window.missing(py.shapes[0][self.axis + 1 :])):
            raise UnsupportedError(f"torch's convolution does not pad {py.shapes[0]} alike")
        module = self.torch_module(py, "Conv")
        tops = [f"{module}({x})" for x in bottoms]
        if self.relu:
            tops = [rectify_source(py, top, self.negative_slope) for top in tops]
        return ", ".join(tops)

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
        y = super().onnx_one(op, op_type, x, weights, top, pads, auto_pad=auto_pad)
        return onnx_rectify(op, y, self.negative_slope) if self.relu else y
