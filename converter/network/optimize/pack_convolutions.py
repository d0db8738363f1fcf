"""Convolutions that keep their weights in oneDNN's own order."""

from __future__ import annotations

from caffe_layers.fused.packed_convolution import PackedConvolution
from caffe_layers.vision.conv import Convolution

from .wiring import Wiring


def pack_convolutions(wiring: Wiring) -> str:
    """Let the convolutions of two axes keep their weights packed; each at its first call."""
    packed = 0
    for step in wiring.steps:
        layer = wiring.layers[step.key]
        if type(layer) is Convolution and PackedConvolution.can_pack(layer):
            wiring.layers[step.key] = PackedConvolution(layer)
            packed += 1
    return f"packed the weights of {packed} convolutions for oneDNN" if packed else ""
