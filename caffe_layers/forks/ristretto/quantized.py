"""What Ristretto's convolutions share: rounded bottoms, weights and tops."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from typing_extensions import Unpack

from caffe_layers.base.op import Op, Values
from caffe_layers.vision.base_conv import BaseConvolution, WindowFields
from prototxt.errors import UnsupportedError

from .quantization import Quantization


class QuantizedConvolution(BaseConvolution):
    """Base beside one that slides: its numbers rounded as `Quantization` says."""

    def __init__(
        self, channels: int, *, quantization: Quantization, **window: Unpack[WindowFields]
    ) -> None:
        super().__init__(channels, **window)
        self.quantization = quantization
        self.draws = quantization.stochastic

    @classmethod
    def fields(cls, layer: Any, **computed: object) -> dict[str, Any]:
        return super().fields(layer, quantization=Quantization.read(layer), **computed)

    def drawn_weight(self) -> Tensor:
        return self.quantization.weight(super().drawn_weight(), self.training)

    def drawn_bias(self) -> Tensor | None:
        bias = super().drawn_bias()
        return None if bias is None else self.quantization.bias(bias, self.training)

    def forward(self, *bottoms: Tensor) -> Tensor | tuple[Tensor, ...]:
        slide = super().forward
        if not self.training:
            bottoms = tuple(map(self.quantization.bottom, bottoms))
        tops: Tensor | tuple[Tensor, ...] = slide(*bottoms)
        if self.training:
            return tops
        if isinstance(tops, Tensor):
            return self.quantization.top(tops)
        return tuple(map(self.quantization.top, tops))

    def onnx_weights(self, op: Op) -> list[str]:
        if self.training:
            raise UnsupportedError("weights are rounded at random in training")
        names = [op.array("rounded_weight", self.drawn_weight().detach())]
        bias = self.drawn_bias()
        return names if bias is None else [*names, op.array("rounded_bias", bias.detach())]

    def onnx_bottom(self, op: Op, x: str) -> str:
        return self.quantization.onnx_bottom(op, x)

    def onnx(self, op: Op, *bottoms: str) -> Values:
        return [self.quantization.onnx_top(op, top) for top in super().onnx(op, *bottoms)]
