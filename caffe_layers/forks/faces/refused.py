"""Layers of happynear's that are known by name and not computed: each says why."""

from __future__ import annotations

from caffe_layers.base.refused import Refused


class _Unknown(Refused):
    why = "the published facts name its parameters and not its formula"


class SubRegion(_Unknown, type="SubRegion", fork="happynear", bottoms=(1, None), tops=(1, None)):
    """Cuts regions around landmarks out.

    Caffe: happynear/caffe-windows, src/caffe/layers/sub_region_layer.cpp
    """


class Hotspot(_Unknown, type="Hotspot", fork="happynear", bottoms=(1, None), tops=(1, None)):
    """Draws landmarks as spots.

    Caffe: happynear/caffe-windows, src/caffe/layers/hotspot_layer.cpp
    """
