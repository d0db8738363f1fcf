"""BinaryConvolution, of HWGQ and of other Caffes with weights of one bit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from typing_extensions import Unpack

from caffe_layers.base.message import fork_field, is_set
from caffe_layers.base.shape import Shape
from caffe_layers.vision.base_conv import WindowFields

from .few_values import binarized, zz_binarized
from .used_weights import FewValuedConvolution

OWN = ("binary_convolution_param", "debug_param")
"""The messages that tell the readings apart."""


class BinaryConvolution(
    FewValuedConvolution, type="BinaryConvolution", fork="hwgq", bottoms=(1, None), tops=(1, None)
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
        **window: Unpack[WindowFields],
    ) -> None:
        super().__init__(channels, **window)
        self.use_alpha, self.use_binarization = use_alpha, use_binarization

    @classmethod
    def fields(cls, layer: Any, **computed: object) -> dict[str, Any]:
        if "binary_convolution_param" in layer.DESCRIPTOR.fields_by_name:
            computed = cls.fields_of(layer.binary_convolution_param, **computed)
        return super().fields(layer, **computed)

    def brought(self, weight: Tensor) -> Tensor:
        return binarized(weight, self.use_alpha) if self.use_binarization else weight


class BwnConvolution(
    FewValuedConvolution,
    type="BinaryConvolution",
    fork="bwn_xnor",
    bottoms=(1, None),
    tops=(1, None),
):
    """HWGQ's with `use_alpha`: signs, times the mean size of the filter's weights; no fields.

    Errors: those of Convolution.
    Caffe: loswensiana/BWN-XNOR-caffe at 2ccf4e7, src/caffe/ex_layers/binary_conv_layer.cpp
    """

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return not any(is_set(layer, message) for message in OWN)

    def brought(self, weight: Tensor) -> Tensor:
        return binarized(weight, use_alpha=True)


class ZzBinaryConvolution(
    FewValuedConvolution,
    type="BinaryConvolution",
    fork="caffe_zz",
    bottoms=(1, None),
    tops=(1, None),
):
    """Signs, times the mean size of the filter's weights: HWGQ's with `use_alpha`, in testing.

    With `debug_param { xnorno_grad: true }` the mean of a filter is taken away from it first, and
    what is left is cut at -1 and 1: as at Caffe's first pass, which leaves that in the blob.

    Errors: those of Convolution; UnsupportedError in training, which is one thing on the CPU and
    another on the GPU.
    Caffe: zzqiuzz/caffe-zz at 845edea, src/caffe/layers/binary_conv_layer.{cpp,cu}
    """

    def __init__(
        self, channels: int, *, xnorno_grad: bool = False, **window: Unpack[WindowFields]
    ) -> None:
        super().__init__(channels, **window)
        self.xnorno_grad = xnorno_grad

    @classmethod
    def fits(cls, layer: Any, blobs: Sequence[Shape] | None) -> bool:
        return is_set(layer, "debug_param")

    @classmethod
    def fields(cls, layer: Any, **computed: object) -> dict[str, Any]:
        debug = fork_field(layer, "debug_param")
        return super().fields(
            layer, **(computed if debug is None else cls.fields_of(debug, **computed))
        )

    def brought(self, weight: Tensor) -> Tensor:
        return zz_binarized(self, weight, self.xnorno_grad)
