"""CmpConvolution and CmpInnerProduct, of DeepCompression."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from typing_extensions import Unpack

from caffe_layers.base.checks import require
from caffe_layers.base.number import float32
from caffe_layers.base.op import Op
from caffe_layers.common.base_inner_product import BaseInnerProduct, InnerProductFields
from caffe_layers.vision.base_conv import WindowFields
from caffe_layers.vision.cross_correlation import CrossCorrelation
from prototxt.errors import UnsupportedError


def pruned(weight: Tensor, ratio: float) -> Tensor:
    """Return the weight without its smallest values: so large a share of them, and equal ones.

    Gradients reach what is left.
    """
    sizes = weight.detach().abs()
    count = int(float32(float32(sizes.numel()) * ratio))
    if not count:
        return weight
    least = sizes.flatten().kthvalue(count).values
    return weight * (sizes > least).to(weight)


def read_ratio(param: Any) -> float:
    """Read `sparse_ratio`; UnsupportedError for weights that are to be shared."""
    if param.quantize_term:
        raise UnsupportedError(
            "quantize_term lets the fork look for groups of weights when it loads them, from "
            "centres that its training began with: not here",
            fix="a file that was trained so holds the shared weights already: leave the field out",
        )
    ratio = float32(param.sparse_ratio)
    require(0 <= ratio <= 1, f"sparse_ratio {ratio:g} wants a share, from 0 to 1")
    return ratio


class CmpConvolution(
    CrossCorrelation,
    type="CmpConvolution",
    fork="deepcompression",
    bottoms=(1, None),
    tops=(1, None),
):
    """Convolution without the smallest of its weights, `sparse_ratio` of them: see `pruned`.

    The fork looks for them when it loads weights, and keeps to them in training.

    Errors: those of Convolution; UnsupportedError for `quantize_term`.
    Caffe: may0324/DeepCompression-caffe at 0aff6c1, src/caffe/layers/cmp_conv_layer.cpp
    """

    def __init__(self, channels: int, *, ratio: float, **window: Unpack[WindowFields]) -> None:
        super().__init__(channels, **window)
        self.ratio = ratio

    @classmethod
    def fields(cls, layer: Any, **computed: object) -> dict[str, Any]:
        return super().fields(layer, ratio=read_ratio(layer.convolution_param), **computed)

    def drawn_weight(self) -> Tensor:
        return pruned(super().drawn_weight(), self.ratio)

    def onnx_weights(self, op: Op) -> list[str]:
        bias = [op.weight(self, "bias")] if "bias" in self.blob_names else []
        return [op.array("pruned_weight", self.drawn_weight().detach()), *bias]


class CmpInnerProduct(BaseInnerProduct, type="CmpInnerProduct", fork="deepcompression"):
    """InnerProduct without the smallest of its weights, `sparse_ratio` of them: see `pruned`.

    Errors: those of InnerProduct; UnsupportedError for `quantize_term`.
    Caffe: may0324/DeepCompression-caffe at 0aff6c1, src/caffe/layers/cmp_inner_product_layer.cpp
    """

    def __init__(
        self, inputs: int, num_output: int, *, ratio: float, **options: Unpack[InnerProductFields]
    ) -> None:
        super().__init__(inputs, num_output, **options)
        self.ratio = ratio

    @classmethod
    def fields(cls, layer: Any, **computed: object) -> dict[str, Any]:
        return super().fields(layer, ratio=read_ratio(layer.inner_product_param), **computed)

    def used_weight(self) -> Tensor:
        return pruned(self.weight, self.ratio)

    def onnx_weights(self, op: Op) -> list[str]:
        bias = [op.weight(self, "bias")] if self.bias_term else []
        return [op.array("pruned_weight", self.used_weight().detach()), *bias]
