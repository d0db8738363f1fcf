"""MarginInnerProduct, of SphereFace."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_layers.arithmetic.gradient import gradient_of
from caffe_layers.base.op import Op

from .multiplied_angle import MultipliedAngle, emit_multiplied, length, multiplied, with_slopes


class MarginInnerProduct(
    MultipliedAngle,
    type="MarginInnerProduct",
    fork="happynear",
    param="margin_inner_product_param",
    bottoms=(1, 2),
    tops=(1, 2),
):
    """`top = x * weight^T`, M x num_output, whose angles with the label's weight are multiplied.

    Bottoms: x, M x K over all axes from `axis` on, and M labels. Each pass first divides the rows
    of the weight, num_output x K, by their lengths, and so keeps them, but in a compiled model. The
    label's column is `(|x| f(t) + lambda * x * w) / (1 + lambda)`, with `cos(t) = x * w / |x|`
    (`MultipliedAngle`).

    The gradient is not the value's. The weight's is that of the plain product. In x's the part of
    the label is `(a w + b x) / (1 + lambda)` where a and b are the slopes divided by
    `sqrt(a^2 + b^2)`.

    Errors: ShapeError for bottoms that do not fit the sizes, and for a label that is no class.
    Caffe: wy1iu/sphereface, tools/caffe-sphereface/src/caffe/layers/margin_inner_product_layer.cpp
    """

    def read_weight(self, *given: Tensor) -> Tensor:
        rows = self.weight.detach()
        unit = rows / length(rows)
        if not torch.compiler.is_compiling():
            # By .data: a graph that already holds the weight, of an earlier pass, stays as it is.
            self.weight.data.copy_(unit)
        return gradient_of(unit, self.weight)

    def margin(self, x: Tensor, w: Tensor) -> Tensor:
        with torch.no_grad():
            long = length(x)
            cosine = (x * w).sum(1, keepdim=True) / long
            f, slope = multiplied(cosine, self.times)
            a, b = slope, (f - cosine * slope) / long
            norm = (a**2 + b**2).sqrt()
            none = torch.zeros_like(a)
        value = with_slopes(long * f, x, w.detach(), (a / norm, b / norm, none))
        plain = (x.detach() * w).sum(1, keepdim=True)
        return value + gradient_of(none, plain)

    def emit_margin(self, op: Op, x: str, w: str, product: str) -> str:
        long = op.reduce("ReduceL2", x, [1], keepdims=1)
        return op.Mul(long, emit_multiplied(op, op.Div(product, long), self.times))

    def emit_weight(self, op: Op) -> str:
        rows = self.weight.detach().cpu().double()
        return op.array("unit_weight", (rows / length(rows)).numpy())
