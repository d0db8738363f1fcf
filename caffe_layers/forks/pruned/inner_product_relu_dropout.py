"""InnerProductReLUDropout, of SkimCaffe."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from typing_extensions import Unpack

from caffe_layers.arithmetic.rectifier import onnx_rectify, rectify
from caffe_layers.base.message import enum_name, is_set
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op, Values
from caffe_layers.common.base_inner_product import BaseInnerProduct, InnerProductFields
from prototxt.errors import UnsupportedError


class InnerProductReLUDropout(BaseInnerProduct, type="InnerProductReLUDropout", fork="skimcaffe"):
    """InnerProduct and a ReLU with `negative_slope`; the dropout is left out in training too.

    `gemm_mode` SPMDM says how sparse weights are multiplied; where `spmdm_transpose_out` is false
    the top lies transposed in memory, and the next layer's `spmdm_transpose_in` is false as well,
    which changes no value. (Of more than one sample SkimCaffe adds the bias of a transposed top to
    the wrong values; not so here.) Blobs are InnerProduct's.

    Errors: those of InnerProduct; UnsupportedError for `gemm_mode` SPGEMM, with which SkimCaffe
    computes nothing.
    Caffe: IntelLabs/SkimCaffe at 2f66b5a, src/caffe/layers/inner_product_relu_dropout_layer.cpp
    """

    def __init__(
        self,
        inputs: int,
        num_output: int,
        *,
        negative_slope: float = 0.0,
        **options: Unpack[InnerProductFields],
    ) -> None:
        super().__init__(inputs, num_output, **options)
        self.slope = float32(negative_slope)

    @classmethod
    def fields(cls, layer: Any, **computed: object) -> dict[str, Any]:
        param = layer.inner_product_param
        if is_set(param, "gemm_mode") and enum_name(param, "gemm_mode") == "SPGEMM":
            raise UnsupportedError("gemm_mode SPGEMM, with which SkimCaffe's code computes nothing")
        slope = layer.relu_param.negative_slope
        return super().fields(layer, negative_slope=slope, **computed)

    def forward(self, x: Tensor) -> Tensor:
        return rectify(super().forward(x), self.slope)

    def onnx(self, op: Op, x: str) -> Values:
        product = super().onnx(op, x)
        assert isinstance(product, str)
        return onnx_rectify(op, product, self.slope)
