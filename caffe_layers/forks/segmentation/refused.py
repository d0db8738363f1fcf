"""Layers of DeepLab that are known by name and not computed: each says why."""

from __future__ import annotations

from caffe_layers.base.refused import Refused


class DomainTransform(
    Refused, type="DomainTransform", fork="deeplab", bottoms=(1, None), tops=(0, None)
):
    """An edge-preserving recursive filter.

    Caffe: hszhao/PSPNet, src/caffe/layers/domain_transform_layer.cpp
    """

    why = "the published facts name its parameters and not its recursion"


class AdaptiveBiasChannel(
    Refused, type="AdaptiveBiasChannel", fork="deeplab", bottoms=(1, None), tops=(0, None)
):
    """Lifts the scores of an image's labels, for training from image labels.

    Caffe: hszhao/PSPNet, src/caffe/layers/adaptive_bias_channel_layer.cpp
    """

    why = "it goes through the labels in an order drawn by the C library, which its result keeps"


class BiasChannel(Refused, type="BiasChannel", fork="deeplab", bottoms=(1, None), tops=(0, None)):
    """Adds constants to the scores of an image's labels, for training from image labels.

    Caffe: hszhao/PSPNet, src/caffe/layers/bias_channel_layer.cpp
    """

    why = "versions differ in what counts as background, and a definition does not say which it is"


class UniqueLabel(Refused, type="UniqueLabel", fork="deeplab", bottoms=(1, None), tops=(0, None)):
    """Lists the labels that occur in an image.

    Caffe: hszhao/PSPNet, src/caffe/layers/unique_label_layer.cpp
    """

    why = "it makes labels for training from images, which are better made outside of the network"


class MatRead(Refused, type="MatRead", fork="deeplab", bottoms=(0, None), tops=(0, None)):
    """Reads blobs from MATLAB files.

    Caffe: hszhao/PSPNet, src/caffe/layers/mat_read_layer.cpp
    """

    why = "it reads MATLAB files that lie on the machine that trained the network"
    fix = "replace it by an Input layer, and feed it"
