"""NdConvolution, of video-caffe."""

from __future__ import annotations

from typing import Any

from typing_extensions import Self

from caffe_layers.base.checks import require
from caffe_layers.base.op import Py
from caffe_layers.base.shape import Shape
from caffe_layers.vision.cross_correlation import CrossCorrelation

from .nd import shaped_window


class NdConvolution(
    CrossCorrelation, type="NdConvolution", fork="video_caffe", bottoms=(1, None), tops=(1, None)
):
    """Convolution over any axes, whose window is given by shapes.

    `kernel_shape`, `stride_shape` and `pad_shape` have a `dim` for each axis behind the channels',
    which are on axis 1. Blobs are Convolution's: weight O x C/group x kernel, bias O.

    Errors: ShapeError for shapes of other lengths, and for BVLC's fields of the window, which the
    fork passes over; those of Convolution.
    Caffe: chuckcho/video-caffe at fc232b3, src/caffe/layers/cudnn_ndconv_layer.cpp
    """

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> Self:
        tops = len(layer.top)
        wants = "wants one top for each bottom"
        require(tops == len(bottoms), f"{len(bottoms)} bottoms and {tops} tops, {wants}")
        window = shaped_window(layer.convolution_param, bottoms[0])
        return cls(bottoms[0][1], **cls.fields(layer, axis=1, dilation=1, **window))

    def python(self, py: Py, *bottoms: str) -> str:
        module = self.torch_module(py, "Conv")
        return ", ".join(f"{module}({bottom})" for bottom in bottoms)
