"""TernaryConvolution and TernaryInnerProduct, of CAS-CLab's Caffe layers."""

from __future__ import annotations

from torch import Tensor
from typing_extensions import Unpack

from caffe_layers.base.checks import require
from caffe_layers.common.base_inner_product import InnerProductFields

from .few_values import best_ternary
from .used_weights import FewValuedConvolution, FewValuedInnerProduct


class TernaryConvolution(
    FewValuedConvolution,
    type="TernaryConvolution",
    fork="ternary",
    bottoms=(1, None),
    tops=(1, None),
):
    """Convolution by -1, 0 and 1 times a scale, filter by filter: see `best_ternary`.

    Shapes and blobs are Convolution's, and the gradient of what is used is the weight's.

    Errors: those of Convolution.
    Caffe: CAS-CLab/Optimal-Ternary-Weights-Approximation at a6aee70, ternary_conv_layer.cu
    """

    def brought(self, weight: Tensor) -> Tensor:
        return best_ternary(weight)


class TernaryInnerProduct(FewValuedInnerProduct, type="TernaryInnerProduct", fork="ternary"):
    """InnerProduct by -1, 0 and 1 times a scale, output by output: see `best_ternary`.

    As on the GPU: the source's CPU code takes the plain weight.

    Errors: those of InnerProduct, and ShapeError for `transpose`, where the source takes the rows
    of the blob for outputs.
    Caffe: CAS-CLab/Optimal-Ternary-Weights-Approximation at a6aee70, ternary_inner_product_layer.cu
    """

    def __init__(self, inputs: int, num_output: int, **options: Unpack[InnerProductFields]) -> None:
        super().__init__(inputs, num_output, **options)
        require(not self.transpose, "transpose takes inputs for outputs there, wants it left out")

    def brought(self, weight: Tensor) -> Tensor:
        return best_ternary(weight)
