"""ConvolutionDepthwise, a convolution of each channel by itself."""

from __future__ import annotations

from typing_extensions import Unpack

from caffe_layers.base.checks import require
from caffe_layers.vision.base_conv import ChannelwiseFields
from caffe_layers.vision.cross_correlation import CrossCorrelation


class ConvolutionDepthwise(CrossCorrelation, type="ConvolutionDepthwise", fork="mobile"):
    """Each channel of N x C x H x W convolved with its own kernel: the top has C channels too.

    Blobs: weight C x 1 x kernel, bias C. `num_output` and `group` are not read: there is one
    filter for each channel, whatever they say. The rest is Convolution's.

    Errors: those of Convolution, and ShapeError unless the window has 2 axes.
    Caffe: farmingyard/caffe-mobilenet, conv_dw_layer.cpp
    """

    def __init__(
        self,
        channels: int,
        *,
        num_output: int | None = None,
        group: int | None = None,
        **more: Unpack[ChannelwiseFields],
    ) -> None:
        super().__init__(channels, num_output=channels, group=channels, **more)
        axes = len(self.window.kernel)
        require(axes == 2 and self.axis == 1, f"{axes} axes of a window at axis {self.axis}")
