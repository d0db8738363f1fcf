"""Convolution and InnerProduct of ternary weight networks."""

from __future__ import annotations

from torch import Tensor

from .few_values import thresholded_ternary
from .used_weights import FewValuedConvolution, FewValuedInnerProduct


class TwnConvolution(
    FewValuedConvolution, type="Convolution", fork="twns", bottoms=(1, None), tops=(1, None)
):
    """Convolution by -1, 0 and 1 times a scale: see `thresholded_ternary`.

    For `--dialect twns`: `caffe train --precision=ternary` said so, and the network's file does
    not. That of `--precision=binary` is not here.

    Errors: those of Convolution.
    Caffe: fengfu-chris/caffe-twns at 51916a4, src/caffe/blob.cpp and layers/conv_layer.cu
    """

    only_by_name = True

    def brought(self, weight: Tensor) -> Tensor:
        return thresholded_ternary(weight)


class TwnInnerProduct(FewValuedInnerProduct, type="InnerProduct", fork="twns"):
    """InnerProduct by -1, 0 and 1 times a scale: as its Convolution, see there.

    Errors: those of InnerProduct.
    Caffe: fengfu-chris/caffe-twns at 51916a4, src/caffe/layers/inner_product_layer.cu
    """

    only_by_name = True

    def brought(self, weight: Tensor) -> Tensor:
        return thresholded_ternary(weight)
