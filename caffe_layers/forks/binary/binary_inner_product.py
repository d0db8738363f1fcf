"""BinaryInnerProduct, of HWGQ and zzqiuzz's Caffe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from typing_extensions import Unpack

from caffe_layers.base.checks import require
from caffe_layers.base.message import fork_field, is_set
from caffe_layers.base.shape import Shape
from caffe_layers.common.base_inner_product import InnerProductFields

from .few_values import binarized, zz_binarized
from .used_weights import FewValuedInnerProduct


class BinaryInnerProduct(FewValuedInnerProduct, type="BinaryInnerProduct", fork="hwgq"):
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
        **options: Unpack[InnerProductFields],
    ) -> None:
        super().__init__(inputs, num_output, **options)
        require(not self.transpose, "transpose is passed over by HWGQ, wants it left out")
        self.use_alpha, self.use_binarization = use_alpha, use_binarization

    @classmethod
    def fields(cls, layer: Any, **computed: object) -> dict[str, Any]:
        if "binary_inner_product_param" in layer.DESCRIPTOR.fields_by_name:
            computed = cls.fields_of(layer.binary_inner_product_param, **computed)
        return super().fields(layer, **computed)

    def brought(self, weight: Tensor) -> Tensor:
        return binarized(weight, self.use_alpha) if self.use_binarization else weight


class ZzBinaryInnerProduct(FewValuedInnerProduct, type="BinaryInnerProduct", fork="caffe_zz"):
    """Signs, times the mean size of an output's weights: as its BinaryConvolution, see there.

    Errors: those of InnerProduct, UnsupportedError in training, and ShapeError for `transpose`,
    where the source takes the rows of the blob for outputs.
    Caffe: zzqiuzz/caffe-zz at 845edea, src/caffe/layers/binary_inner_product_layer.{cpp,cu}
    """

    def __init__(
        self,
        inputs: int,
        num_output: int,
        *,
        xnorno_grad: bool = False,
        **options: Unpack[InnerProductFields],
    ) -> None:
        super().__init__(inputs, num_output, **options)
        require(not self.transpose, "transpose takes inputs for outputs there, wants it left out")
        self.xnorno_grad = xnorno_grad

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return not is_set(layer, "binary_inner_product_param")

    @classmethod
    def fields(cls, layer: Any, **computed: object) -> dict[str, Any]:
        debug = fork_field(layer, "debug_param")
        return super().fields(
            layer, **(computed if debug is None else cls.fields_of(debug, **computed))
        )

    def brought(self, weight: Tensor) -> Tensor:
        return zz_binarized(self, weight, self.xnorno_grad)
