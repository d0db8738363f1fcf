"""Layers of FlowNet2 that write their bottoms into files."""

from __future__ import annotations

from caffe_layers.common.without_tops import WithoutTops


class _Writer(WithoutTops):
    """Base: Caffe writes a file for each image; here the layer writes nothing.

    The blobs can be had by name instead: `net.blobs(...)`, or `caffeport run --output`.
    """

    is_metric = True  # it only looks at what an exported model gives
    fork_fields = ("writer_param",)


class ImgWriter(_Writer, type="ImgWriter", fork="flownet2", bottoms=(1, None), tops=0):
    """Images, of which nothing is written here.

    Caffe: lmb-freiburg/flownet2, src/caffe/layers/imgwriter_layer.cpp
    """


class FLOWriter(_Writer, type="FLOWriter", fork="flownet2", bottoms=(1, None), tops=0):
    """Flows, of which nothing is written here.

    Caffe: lmb-freiburg/flownet2, src/caffe/layers/flowriter_layer.cpp
    """


class PFMWriter(_Writer, type="PFMWriter", fork="flownet2", bottoms=(1, None), tops=0):
    """Disparities, of which nothing is written here.

    Caffe: lmb-freiburg/flownet2, src/caffe/layers/pfmwriter_layer.cpp
    """


class FloatWriter(_Writer, type="FloatWriter", fork="flownet2", bottoms=(1, None), tops=0):
    """Arrays, of which nothing is written here.

    Caffe: lmb-freiburg/flownet2, src/caffe/layers/floatwriter_layer.cpp
    """
