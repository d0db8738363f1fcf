"""CInnerProduct, of dynamic network surgery."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from typing_extensions import Unpack

from caffe_layers.base.op import Op
from caffe_layers.common.base_inner_product import BaseInnerProduct, InnerProductFields

from .surgery import Masked, Surgery


class CInnerProduct(Masked, BaseInnerProduct, type="CInnerProduct", fork="surgery"):
    """InnerProduct whose weight and bias are multiplied by masks, of 0 and 1: `Masked`, `Surgery`.

    Blobs: weight, bias, and a mask of each.

    Errors: those of InnerProduct and of Masked.
    Caffe: yiwenguo/Dynamic-Network-Surgery at 27d4926,
    src/caffe/layers/compress_inner_product_layer.cpp
    """

    def __init__(
        self,
        inputs: int,
        num_output: int,
        *,
        surgery: Surgery,
        **options: Unpack[InnerProductFields],
    ) -> None:
        super().__init__(inputs, num_output, **options)
        self.add_masks(surgery)

    @classmethod
    def fields(cls, layer: Any, **computed: object) -> dict[str, Any]:
        surgery = Surgery.read(layer.cinner_product_param)
        return super().fields(layer, surgery=surgery, **computed)

    def used_weight(self) -> Tensor:
        return self.masked()[0]

    def used_bias(self) -> Tensor | None:
        return self.masked()[1]

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.operate()
        top: Tensor = super().forward(x)
        return top

    def onnx_weights(self, op: Op) -> list[str]:
        return self.onnx_masked(op)
