"""BinaryConvolution, of HWGQ."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from caffe_layers.base.op import Op
from caffe_layers.vision.cross_correlation import CrossCorrelation

from .binary import binarized


class BinaryConvolution(
    CrossCorrelation, type="BinaryConvolution", fork="hwgq", bottoms=(1, None), tops=(1, None)
):
    """Convolution by the signs of its weight: 1 from 0 on, else -1.

    `binary_convolution_param`: with `use_alpha` a filter's signs are times the mean size of its
    weights; without `use_binarization` the weight is as it is. The bias is as it is. Shapes and
    blobs are Convolution's, and the gradient of the signs is the weight's.

    Errors: those of Convolution.
    Caffe: zhaoweicai/hwgq at ebc706b, src/caffe/layers/binary_conv_layer.cpp
    """

    def __init__(
        self,
        channels: int,
        *,
        use_alpha: bool = False,
        use_binarization: bool = True,
        **window: Any,
    ) -> None:
        super().__init__(channels, **window)
        self.use_alpha, self.use_binarization = use_alpha, use_binarization

    @classmethod
    def fields(cls, layer: Any, **computed: Any) -> dict[str, Any]:
        if "binary_convolution_param" in layer.DESCRIPTOR.fields_by_name:
            computed = cls.fields_of(layer.binary_convolution_param, **computed)
        return super().fields(layer, **computed)

    def drawn_weight(self) -> Tensor:
        weight = super().drawn_weight()
        return binarized(weight, self.use_alpha) if self.use_binarization else weight

    def onnx_weights(self, op: Op) -> list[str]:
        if not self.use_binarization:
            return super().onnx_weights(op)
        weights = [op.array("binary_weight", self.drawn_weight().detach())]
        return [*weights, op.weight(self, "bias")] if "bias" in self.blob_names else weights
