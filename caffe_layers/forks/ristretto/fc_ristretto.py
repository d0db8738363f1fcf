"""FcRistretto, of Ristretto."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from typing_extensions import Unpack

from caffe_layers.base.op import Op, Values
from caffe_layers.common.base_inner_product import BaseInnerProduct, InnerProductFields
from prototxt.errors import UnsupportedError

from .quantization import Quantization


class FcRistretto(BaseInnerProduct, type="FcRistretto", fork="ristretto"):
    """InnerProduct in numbers of few bits: the bottom, weight, bias and top are rounded.

    `quantization_param` says how: see `Quantization`. Shapes and blobs are InnerProduct's.

    Errors: those of InnerProduct and of Quantization.
    Caffe: pmgysel/caffe at 614963c, src/caffe/ristretto/layers/fc_ristretto_layer.cpp
    """

    def __init__(
        self,
        inputs: int,
        num_output: int,
        *,
        quantization: Quantization,
        **options: Unpack[InnerProductFields],
    ) -> None:
        super().__init__(inputs, num_output, **options)
        self.quantization = quantization
        self.draws = quantization.stochastic

    @classmethod
    def fields(cls, layer: Any, **computed: object) -> dict[str, Any]:
        return super().fields(layer, quantization=Quantization.read(layer), **computed)

    def used_weight(self) -> Tensor:
        return self.quantization.weight(self.weight, self.training)

    def used_bias(self) -> Tensor | None:
        bias = super().used_bias()
        return None if bias is None else self.quantization.bias(bias, self.training)

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            return super().forward(x)
        return self.quantization.top(super().forward(self.quantization.bottom(x)))

    def onnx_weights(self, op: Op) -> list[str]:
        if self.training:
            raise UnsupportedError("weights are rounded at random in training")
        names = [op.array("rounded_weight", self.used_weight().detach())]
        bias = self.used_bias()
        return names if bias is None else [*names, op.array("rounded_bias", bias.detach())]

    def onnx_bottom(self, op: Op, x: str) -> str:
        return self.quantization.onnx_bottom(op, x)

    def onnx(self, op: Op, x: str) -> Values:
        top = super().onnx(op, x)
        assert isinstance(top, str)
        return self.quantization.onnx_top(op, top)
