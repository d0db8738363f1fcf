"""DepthwiseConvolution, a faster kernel for Convolution with as many groups as channels."""

from __future__ import annotations

from caffe_layers.vision.cross_correlation import CrossCorrelation


class DepthwiseConvolution(
    CrossCorrelation, type="DepthwiseConvolution", fork="mobile", bottoms=(1, None), tops=(1, None)
):
    """Convolution by another name: a definition's `group` is its number of channels.

    Formula, blobs, shapes and errors are Convolution's. ConvolutionDepthwise, of another
    repository, does not read `num_output` and `group`.

    Caffe: yonghenglh6/DepthwiseConvolution, caffe/src/caffe/layers/depthwise_conv_layer.cpp
    """
