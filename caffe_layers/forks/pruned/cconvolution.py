"""CConvolution, of dynamic network surgery."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from typing_extensions import Unpack

from caffe_layers.base.op import Op
from caffe_layers.vision.base_conv import WindowFields
from caffe_layers.vision.cross_correlation import CrossCorrelation

from .surgery import Masked, Surgery


class CConvolution(
    Masked,
    CrossCorrelation,
    type="CConvolution",
    fork="surgery",
    bottoms=(1, None),
    tops=(1, None),
):
    """Convolution whose weight and bias are multiplied by masks, of 0 and 1: `Masked`, `Surgery`.

    Blobs: weight, bias, and a mask of each.

    Errors: those of Convolution and of Masked.
    Caffe: yiwenguo/Dynamic-Network-Surgery at 27d4926, src/caffe/layers/compress_conv_layer.cpp
    """

    masked_twice = True

    def __init__(self, channels: int, *, surgery: Surgery, **window: Unpack[WindowFields]) -> None:
        super().__init__(channels, **window)
        self.add_masks(surgery)

    @classmethod
    def fields(cls, layer: Any, **computed: object) -> dict[str, Any]:
        surgery = Surgery.read(layer.cconvolution_param)
        return super().fields(layer, surgery=surgery, **computed)

    def drawn_weight(self) -> Tensor:
        return self.masked()[0]

    def drawn_bias(self) -> Tensor | None:
        return self.masked()[1].flatten()

    def forward(self, *bottoms: Tensor) -> Tensor | tuple[Tensor, ...]:
        if self.training:
            self.operate()
        tops: Tensor | tuple[Tensor, ...] = super().forward(*bottoms)
        return tops

    def onnx_weights(self, op: Op) -> list[str]:
        return self.onnx_masked(op)
