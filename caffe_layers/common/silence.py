"""Silence."""

from __future__ import annotations

from caffe_layers.base.op import Py

from .without_tops import WithoutTops


class Silence(WithoutTops, type="Silence", bottoms=(1, None), tops=0):
    """Consumes its bottoms, so that they are no outputs of the network; their gradient is 0.

    Caffe: BVLC/caffe, src/caffe/layers/silence_layer.cpp
    """

    is_sink = True

    def python(self, py: Py, *bottoms: str) -> str:
        return ""
