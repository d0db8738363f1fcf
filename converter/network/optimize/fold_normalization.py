"""Normalisation, scale and bias per channel, folded into the convolution before them."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch

from caffe_layers import Filler, Layer
from caffe_layers.arithmetic.affine import Affine, affine_chain
from caffe_layers.vision.base_conv import BaseConvolution
from converter.network.steps import Step

from .wiring import Wiring


def fold_normalization(wiring: Wiring) -> str:
    """Fold every layer that is affine per channel into the convolution that it alone reads.

    A layer stays where the folded weights would overflow their type.
    """
    convolutions = layers = 0
    for conv in wiring.steps:
        layer = wiring.layers.get(conv.key)
        if not isinstance(layer, BaseConvolution) or not layer.absorbs or len(conv.tops) != 1:
            continue
        conv = wiring.current(conv)
        chain, affine = _chain(wiring, conv, layer.num_output)
        folded = _absorbed(layer, affine) if affine else None
        if folded is None:
            continue
        last = chain[-1]
        wiring.put(conv, replace(conv, tops=last.tops, blobs=last.blobs), folded, chain)
        convolutions, layers = convolutions + 1, layers + len(chain)
    if not convolutions:
        return ""
    return f"folded {layers} layers of normalisation and scale into {convolutions} convolutions"


def _chain(wiring: Wiring, conv: Step, channels: int) -> tuple[list[Step], Affine | None]:
    """Return the steps after a convolution that can be folded into it."""

    def affine(step: Step, value: str) -> Affine | None:
        return affine_of(wiring.layers[step.key], channels) if len(step.bottoms) == 1 else None

    return affine_chain(conv.tops[0], wiring.index.reader, affine, lambda step: step.tops[0])


def affine_of(layer: Layer, channels: int) -> Affine | None:
    """Return what a layer does to each channel in testing; None if it does anything else.

    Its values at 0 and at 1, in double, say both numbers.
    """
    if not layer.is_affine:
        return None
    exact = copy.deepcopy(layer).double()
    with torch.no_grad():
        at = [exact(torch.full((1, channels, 1, 1), x, dtype=torch.double)) for x in (0.0, 1.0)]
    shift, top = (value.flatten() for value in at)
    return Affine(top - shift, shift)


def _absorbed(layer: BaseConvolution, affine: Affine) -> BaseConvolution | None:
    """Return the convolution with an affine step in its weights; None if they overflow."""
    with torch.no_grad():
        blobs = affine.folded_into(layer.weight, layer.bias)
        if blobs is None:
            return None
        folded = copy.deepcopy(layer)
        if layer.bias is None:
            folded.add_blob("bias", (layer.num_output,), Filler())
            folded.bias.data = folded.bias.data.to(layer.weight)
        for blob, value in zip((folded.weight, folded.bias), blobs, strict=True):
            blob.copy_(value)
    return folded
