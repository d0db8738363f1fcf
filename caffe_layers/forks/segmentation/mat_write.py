"""MatWrite, from DeepLab."""

from __future__ import annotations

from caffe_layers.common.without_tops import WithoutTops


class MatWrite(WithoutTops, type="MatWrite", fork="deeplab", bottoms=(1, None), tops=0):
    """Caffe writes its bottoms to MATLAB files under `prefix`; here the layer writes nothing.

    The files are named after a list on the machine that ran the network. The blobs can be had by
    name instead: `net.blobs(...)`, or `caffeport run --output`.

    Caffe: hszhao/PSPNet, src/caffe/layers/mat_write_layer.cpp
    """

    is_metric = True  # it only looks at what an exported model gives
