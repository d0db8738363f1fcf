"""InnerProduct."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from caffe_layers.base.checks import canonical_axis
from caffe_layers.base.op import Py
from caffe_layers.base.shape import Shape

from .base_inner_product import BaseInnerProduct


class InnerProduct(BaseInnerProduct, type="InnerProduct"):
    """`top = x * weight^T + bias` over all axes of x from `axis` on, seen as one of K values.

    x is ... x K, the top ... x num_output. Blobs: weight, num_output x K (K x num_output with
    `transpose`), and bias, num_output, if there is a `bias_term`. `inputs` is K.

    Errors: ShapeError for a bottom whose axes from `axis` on do not hold K values.
    Caffe: BVLC/caffe, src/caffe/layers/inner_product_layer.cpp
    """

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return len(layer.bottom) == 1  # happynear's takes its weight from more

    def bound(self, x: Shape) -> Callable[[Tensor], Tensor] | None:
        blobs, axis = self.live_blobs, self.axis
        if self.transpose or "weight" not in blobs or ("bias" in blobs) != self.bias_term:
            return None
        if axis % len(x) == len(x) - 1:
            return lambda x: F.linear(x, blobs["weight"], blobs.get("bias"))
        return lambda x: F.linear(x.flatten(axis), blobs["weight"], blobs.get("bias"))

    def python(self, py: Py, x: str) -> str:
        axis, rank = canonical_axis(self.axis, len(py.shapes[0])), len(py.shapes[0])
        weight = self.weight.t() if self.transpose else self.weight
        tensors = {"weight": weight, "bias": self.bias if self.bias_term else None}
        linear = py.module(
            "nn.Linear", self.inputs, self.num_output, bias=self.bias_term, tensors=tensors
        )
        return f"{linear}({x if axis == rank - 1 else py.call('torch.flatten', x, axis)})"
