"""ReLU, done by the convolution before it."""

from __future__ import annotations

from dataclasses import replace

from caffe_layers.activation.relu import ReLU
from caffe_layers.vision.conv import Convolution

from .wiring import Wiring


def fuse_relu(wiring: Wiring) -> str:
    """Let every convolution do the ReLU that alone reads it, as some forks' layer does."""
    fused = 0
    for conv in wiring.steps:
        layer = wiring.layers.get(conv.key)
        if type(layer) is not Convolution or layer.relu or len(conv.tops) != 1:
            continue
        conv = wiring.current(conv)
        if (step := wiring.index.reader(conv.tops[0])) is None:
            continue
        after = wiring.layers[step.key]
        if not isinstance(after, ReLU):
            continue
        layer.relu, layer.negative_slope = True, after.negative_slope
        wiring.put(conv, replace(conv, tops=step.tops, blobs=step.blobs), layer, [step])
        fused += 1
    return f"let {fused} convolutions do the ReLU after them" if fused else ""
