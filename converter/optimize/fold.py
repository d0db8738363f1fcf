"""Normalisation, scale and bias per channel, folded into the convolution before them."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from caffe_layers import Filler, Layer
from caffe_layers.vision.base_conv import BaseConvolution

from ..graph import Step
from .rewiring import Wiring


@dataclass(frozen=True)
class Affine:
    """`y = x * scale + shift` per channel, in double."""

    scale: Tensor
    shift: Tensor

    def then(self, after: Affine) -> Affine:
        """Return this one followed by another."""
        return Affine(self.scale * after.scale, self.shift * after.scale + after.shift)


def fold_normalization(wiring: Wiring) -> str:
    """Fold every layer that is affine per channel into the convolution that it alone reads.

    A layer stays where the folded weights would overflow their type.
    """
    convolutions = layers = 0
    for conv in list(wiring.steps):
        layer = wiring.layers.get(conv.key)
        if not isinstance(layer, BaseConvolution) or not layer.absorbs or len(conv.tops) != 1:
            continue
        conv = next(now for now in wiring.steps if now.key == conv.key)
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
    """Return the steps behind a convolution that can be folded into it."""
    chain: list[Step] = []
    whole: Affine | None = None
    value = conv.tops[0]
    while (step := wiring.reader(value)) is not None:
        affine = affine_of(wiring.layers[step.key], channels) if len(step.bottoms) == 1 else None
        if affine is None:
            break
        chain.append(step)
        whole = whole.then(affine) if whole else affine
        value = step.tops[0]
    return chain, whole


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
    """Return the convolution with an affine step behind it in its weights; None if they overflow.

    The sums are in double: a running variance near 0 makes large scales.
    """
    folded = copy.deepcopy(layer)
    weight, bias = layer.weight.detach(), layer.bias
    if bias is None:
        folded.add_blob("bias", (layer.num_output,), Filler())
        folded.bias.data = folded.bias.data.to(weight)
        bias = torch.zeros_like(folded.bias)
    spread = affine.scale.to(weight.device).reshape(-1, *(1,) * (weight.dim() - 1))
    shift = affine.shift.to(weight.device)
    with torch.no_grad():
        folded.weight.copy_(weight.double() * spread)
        folded.bias.copy_(bias.double() * spread.flatten() + shift)
    finite = folded.weight.isfinite().all() and folded.bias.isfinite().all()
    return folded if finite else None
