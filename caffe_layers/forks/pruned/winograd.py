"""Winograd, of SkimCaffe."""

from __future__ import annotations

from collections.abc import Sequence

from typing_extensions import Unpack

from caffe_layers.base.checks import require
from caffe_layers.vision.base_conv import WindowFields
from caffe_layers.vision.cross_correlation import CrossCorrelation
from prototxt import Blob
from prototxt.errors import UnsupportedError

KERNELS = (3, 5)


class Winograd(
    CrossCorrelation, type="Winograd", fork="skimcaffe", bottoms=(1, None), tops=(1, None)
):
    """Convolution with 3 x 3 or 5 x 5 places, computed by Winograd's tiles: the same values.

    Errors: those of Convolution; ShapeError for other kernels, strides and dilations;
    UnsupportedError for weights that were trained as those of tiles, tile x tile x O x C, which are
    no kernel's any more.
    Caffe: IntelLabs/SkimCaffe at 2f66b5a, src/caffe/layers/winograd_layer.cpp
    """

    def __init__(self, channels: int, **window: Unpack[WindowFields]) -> None:
        super().__init__(channels, **window)
        kernel = self.window.kernel
        square = len(kernel) == 2 and kernel[0] == kernel[1] and kernel[0] in KERNELS
        require(square, f"kernel {kernel} wants 3 x 3 or 5 x 5")
        plain = {*self.window.stride, *self.window.dilation} == {1}
        require(plain, "Winograd's tiles want stride 1 and dilation 1")

    def adapted(self, blobs: Sequence[Blob | None]) -> Sequence[Blob | None]:
        weight = blobs[0] if blobs else None
        ends = (self.num_output, self.channels // self.group)
        if weight is not None and tuple(weight.shape)[2:] == ends and weight.shape[0] > KERNELS[-1]:
            raise UnsupportedError(
                f"the weight is {tuple(weight.shape)}, of tiles: such weights, pruned as those of "
                "Winograd's tiles, are no kernel's"
            )
        return blobs
