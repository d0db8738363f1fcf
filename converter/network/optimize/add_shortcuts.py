"""The sum of a convolution and a shortcut, and the ReLU behind it, done by the convolution."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from caffe_layers import Shape
from caffe_layers.activation.relu import ReLU
from caffe_layers.base.checks import require
from caffe_layers.base.op import Op, Values
from caffe_layers.common.eltwise import Eltwise
from caffe_layers.vision.base_conv import onnx_conv_pads
from converter.network.steps import Step

from .pack_convolutions import HAS_ONEDNN, PackedConvolution
from .wiring import Wiring

HAS_SUMS = HAS_ONEDNN and hasattr(torch.ops.mkldnn._convolution_pointwise, "binary")
"""As `HAS_ONEDNN`, of the operator that adds."""


def add_shortcuts(wiring: Wiring) -> str:
    """Let every packed convolution add what is added to its top: the top is not written twice."""
    added = 0
    for step in list(wiring.steps) if HAS_SUMS else ():
        layer = wiring.layers.get(step.key)
        if type(layer) is not PackedConvolution or layer.relu or len(step.tops) != 1:
            continue
        conv = wiring.current(step)
        total = wiring.reader(conv.tops[0])
        if total is None or len(total.bottoms) != 2 or not _adds(wiring.layers[total.key]):
            continue
        (other,) = (bottom for bottom in total.bottoms if bottom != conv.tops[0])
        last, gone = total, [conv]
        relu = wiring.reader(total.tops[0])
        if relu is not None and _rectifies(wiring.layers[relu.key]):
            last, gone = relu, [conv, total]
        made = ShortcutConvolution.of(layer)
        made.rectifies = last is not total
        wiring.put(last, _joined(conv, other, last), made, gone)
        added += 1
    return f"let {added} convolutions add the shortcut beside them" if added else ""


def _joined(conv: Step, other: str, last: Step) -> Step:
    return replace(conv, bottoms=(*conv.bottoms, other), tops=last.tops, blobs=last.blobs)


def _adds(layer: object) -> bool:
    if not isinstance(layer, Eltwise) or layer.in_place or layer.operation != "SUM":
        return False
    return layer.coeff in ((), (1.0, 1.0))


def _rectifies(layer: object) -> bool:
    return isinstance(layer, ReLU) and not layer.negative_slope


class ShortcutConvolution(PackedConvolution, bottoms=2):
    """`top = convolution of the first bottom + the second`, with `rectifies` a ReLU of that."""

    rectifies: bool = False

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        x, other = bottoms
        (top,) = super().shapes(x)
        require(other == top, f"the shortcut is {other}, the convolution's top {top}")
        return [top]

    def forward(self, *bottoms: Tensor) -> Tensor:
        x, other = bottoms
        if not self.is_packed_for(x) or other.dtype != x.dtype or other.requires_grad:
            total = self.convolve(x) + other
            return total.relu() if self.rectifies else total
        after = "relu" if self.rectifies else None
        top: Tensor = torch.ops.mkldnn._convolution_pointwise.binary(
            x, other, *self.packed_arguments(x), "add", 1.0, after, [], ""
        )
        return top

    def onnx(self, op: Op, *bottoms: str) -> Values:
        x, other = bottoms
        pads = onnx_conv_pads(op, x, self.window, self.axis)
        (convolved,) = self.onnx_each(op, "Conv", (x,), pads)
        total = op.Add(convolved, other)
        return op.Relu(total) if self.rectifies else total
