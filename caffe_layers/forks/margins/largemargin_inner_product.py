"""LargeMarginInnerProduct, of L-Softmax."""

from __future__ import annotations

import torch
from torch import Tensor

from caffe_layers.base.op import Op

from .multiplied_angle import MultipliedAngle, emit_multiplied, length, multiplied, with_slopes

EPS = 1e-9


class LargeMarginInnerProduct(
    MultipliedAngle,
    type="LargeMarginInnerProduct",
    fork="happynear",
    param="largemargin_inner_product_param",
    bottoms=(1, 3),
    tops=(1, 2),
):
    """`top = x * weight^T`, M x num_output, whose angles with the label's weight are multiplied.

    Bottoms: x, M x K over all axes from `axis` on, M labels and, if given, the weight, which is
    the blob otherwise: num_output x K. The label's column is `(|x| |w| f(t) + lambda * x * w) /
    (1 + lambda)`, with `cos(t) = x * w / (|x| |w| + 1e-9)` (`MultipliedAngle`). The gradient holds
    the signs in f, and adds 1e-9 to the length of w.

    Errors: ShapeError for bottoms that do not fit the sizes, and for a label that is no class.
    Caffe: wy1iu/LargeMargin_Softmax_Loss, src/caffe/layers/largemargin_inner_product_layer.cpp
    """

    def margin(self, x: Tensor, w: Tensor) -> Tensor:
        with torch.no_grad():
            long, wide = length(x), length(w)
            both = long * wide + EPS
            cosine = (x * w).sum(1, keepdim=True) / both
            f, slope = multiplied(cosine, self.times)
            turned = cosine * slope - f
            ratio = long / (wide + EPS)
            slopes = slope, -turned / ratio, -turned * ratio
        return with_slopes(both * f, x, w, slopes)

    def emit_margin(self, op: Op, x: str, w: str, product: str) -> str:
        long, wide = (op.reduce("ReduceL2", rows, [1], keepdims=1) for rows in (x, w))
        both = op.Add(op.Mul(long, wide), op.scalar(EPS))
        return op.Mul(both, emit_multiplied(op, op.Div(product, both), self.times))
