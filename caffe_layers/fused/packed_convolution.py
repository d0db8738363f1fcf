"""A convolution whose weight is kept in oneDNN's own order, for inference on a CPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from caffe_layers.arithmetic.rectifier import rectify
from caffe_layers.base.shape import Shape
from caffe_layers.base.tracing import may_look
from caffe_layers.memory import unfilled
from caffe_layers.vision.conv import Convolution

OPERATORS = ("_reorder_convolution_weight", "_convolution_pointwise")
HAS_ONEDNN: bool = torch.backends.mkldnn.is_available() and all(  # type: ignore[no-untyped-call]  # so in torch
    hasattr(torch.ops.mkldnn, name) for name in OPERATORS
)
"""What torch's own compiler calls for a frozen network; nothing public keeps the order."""
_PLAIN: Any = getattr(torch._C._nn, "thnn_conv2d", None)
"""Torch's own convolution, of patches and one product, without oneDNN's 20 us a call."""
FEW = 1 << 20
"""So many multiply-adds torch's own convolution does in the time of oneDNN's, or less."""


class PackedConvolution(Convolution):
    """A convolution that holds its weight twice: as it was, and as oneDNN multiplies it.

    Torch's own call brings the weight into that order each time, which takes as long as a small
    image's products. The copy is made anew when the weight has changed. Where the copy is of no
    use (gradients, tracing, another device or type), it is an ordinary convolution.
    """

    def __init__(self, plain: Convolution) -> None:
        window = plain.window
        with torch.device("meta"), unfilled():  # the blobs are the other's, in a moment
            super().__init__(
                plain.channels,
                num_output=plain.num_output,
                kernel_size=window.kernel,
                bias_term=plain.bias is not None,
                pad=window.pad,
                stride=window.stride,
                dilation=window.dilation,
                group=plain.group,
                axis=plain.axis,
                relu=plain.relu,
                negative_slope=plain.negative_slope,
            )
        self.take_blobs(plain)
        self._packed: tuple[Any, Tensor] | None = None
        self._plain: tuple[Any, Tensor] | None = None

    @staticmethod
    def can_pack(layer: Convolution) -> bool:
        """Tell whether a convolution is one that oneDNN has an order for."""
        plain = layer.tf_pad is None and layer.axis == 1 and len(layer.window.kernel) == 2
        return HAS_ONEDNN and plain and _is_packable(layer.weight)

    def is_packed_for(self, x: Tensor) -> bool:
        """Tell whether the packed weight is of use for a bottom."""
        alike = x.dtype == self.weight.dtype and _is_packable(self.weight)
        learns = torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad)
        return alike and not learns and may_look(x) and not any(self.window.missing(x.shape[2:]))

    def has_few_products(self, x: Shape) -> bool:
        """Tell whether torch's own convolution is the faster one for a bottom of this shape."""
        window = self.window
        if _PLAIN is None or self.group != 1 or any(step != 1 for step in window.dilation):
            return False
        (top,) = self.shapes(x)
        return not any(window.missing(x[2:])) and self.multiply_adds([x], [top]) <= FEW

    def wants_channels_last(self, *bottoms: Shape) -> bool:
        return not (len(bottoms) == 1 and self.has_few_products(bottoms[0]))

    def bound(self, *bottoms: Shape) -> Callable[[Tensor], Tensor] | None:
        if len(bottoms) != 1:
            return None
        if not self.has_few_products(bottoms[0]):
            return self.convolve
        blobs = self.live_blobs
        kernel, stride, pad, _ = self.window

        def convolved(x: Tensor) -> Tensor:
            weight = blobs["weight"]
            if weight is None or weight.requires_grad or not x.is_cpu:
                return self.convolve(x)
            y: Tensor = _PLAIN(x, self._in_order(weight), kernel, blobs["bias"], stride, pad)
            return rectify(y, self.negative_slope) if self.relu else y

        return convolved

    def convolve(self, x: Tensor) -> Tensor:
        if not self.is_packed_for(x):
            return super().convolve(x)
        slope = [self.negative_slope] if self.relu and self.negative_slope else []
        after = ("leaky_relu" if slope else "relu") if self.relu else "none"
        top: Tensor = torch.ops.mkldnn._convolution_pointwise(
            x, *self.packed_arguments(x), after, slope, ""
        )
        return top

    def packed_arguments(self, x: Tensor) -> tuple[Any, ...]:
        """Return what oneDNN's operators want after their bottoms."""
        window = self.window
        packed = self._packed_for(x)
        return packed, self.bias, window.pad, window.stride, window.dilation, self.group

    def _packed_for(self, x: Tensor) -> Tensor:
        """Return the weight in oneDNN's order, which it chooses by the first input's size."""
        weight, window = self.weight.detach(), self.window
        mark = _mark(weight)
        if self._packed is None or self._packed[0] != mark:
            packed = torch.ops.mkldnn._reorder_convolution_weight(
                weight, window.pad, window.stride, window.dilation, self.group, list(x.shape)
            )
            self._packed = (mark, packed)
        return self._packed[1]

    def _in_order(self, weight: Tensor) -> Tensor:
        """Return the weight in Caffe's order, a copy where it lies otherwise."""
        if weight.is_contiguous():
            return weight
        mark = _mark(weight)
        if self._plain is None or self._plain[0] != mark:
            self._plain = (mark, weight.contiguous())
        return self._plain[1]

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_packed": None, "_plain": None}


def _mark(weight: Tensor) -> Any:
    """Return what tells a weight from a changed one."""
    return weight.data_ptr(), None if weight.is_inference() else weight._version


def _is_packable(weight: Tensor) -> bool:
    return weight.device.type == "cpu" and weight.dtype == torch.float32
