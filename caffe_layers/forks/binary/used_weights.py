"""Convolutions and products whose weight is brought to few values before it is used."""

from __future__ import annotations

from torch import Tensor

from caffe_layers.base.op import Op
from caffe_layers.common.base_inner_product import BaseInnerProduct
from caffe_layers.vision.cross_correlation import CrossCorrelation


class FewValuedConvolution(CrossCorrelation):
    """Convolution by what `brought` makes of its weight; the gradient is as it hands it on."""

    def brought(self, weight: Tensor) -> Tensor:
        """Return the weight as it is used."""
        raise NotImplementedError

    def drawn_weight(self) -> Tensor:
        return self.brought(super().drawn_weight())

    def onnx_weights(self, op: Op) -> list[str]:
        weights = [op.array("used_weight", self.drawn_weight().detach())]
        return [*weights, op.weight(self, "bias")] if "bias" in self.blob_names else weights


class FewValuedInnerProduct(BaseInnerProduct):
    """InnerProduct by what `brought` makes of its weight; the gradient is as it hands it on."""

    def brought(self, weight: Tensor) -> Tensor:
        """Return the weight as it is used."""
        raise NotImplementedError

    def used_weight(self) -> Tensor:
        return self.brought(super().used_weight())

    def onnx_weights(self, op: Op) -> list[str]:
        weights = [op.array("used_weight", self.used_weight().detach())]
        return [*weights, op.weight(self, "bias")] if "bias" in self.blob_names else weights
