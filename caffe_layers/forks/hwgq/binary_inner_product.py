"""BinaryInnerProduct, of HWGQ."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.op import Op
from caffe_layers.common.base_inner_product import BaseInnerProduct

from .binary import binarized


class BinaryInnerProduct(BaseInnerProduct, type="BinaryInnerProduct", fork="hwgq"):
    """InnerProduct by the signs of its weight: 1 from 0 on, else -1.

    `binary_inner_product_param`: with `use_alpha` an output's signs are times the mean size of its
    weights; without `use_binarization` the weight is as it is. The bias is as it is, and the
    gradient of the signs is the weight's.

    Errors: those of InnerProduct, and ShapeError for `transpose`, which HWGQ passes over.
    Caffe: zhaoweicai/hwgq at ebc706b, src/caffe/layers/binary_inner_product_layer.cpp
    """

    def __init__(
        self,
        inputs: int,
        num_output: int,
        *,
        use_alpha: bool = False,
        use_binarization: bool = True,
        **options: Any,
    ) -> None:
        super().__init__(inputs, num_output, **options)
        require(not self.transpose, "transpose is passed over by HWGQ, wants it left out")
        self.use_alpha, self.use_binarization = use_alpha, use_binarization

    @classmethod
    def fields(cls, layer: Any, **computed: Any) -> dict[str, Any]:
        if "binary_inner_product_param" in layer.DESCRIPTOR.fields_by_name:
            computed = cls.fields_of(layer.binary_inner_product_param, **computed)
        return super().fields(layer, **computed)

    def used_weight(self) -> Tensor:
        weight = super().used_weight()
        return binarized(weight, self.use_alpha) if self.use_binarization else weight

    def onnx_weights(self, op: Op) -> list[str]:
        if not self.use_binarization:
            return super().onnx_weights(op)
        weights = [op.array("binary_weight", self.used_weight().detach())]
        return [*weights, op.weight(self, "bias")] if "bias" in self.blob_names else weights
