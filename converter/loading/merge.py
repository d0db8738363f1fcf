"""Weights with normalisation, merged for a definition from which that was taken out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from caffe_layers import Shape
from converter.network.arrays import blob_array
from converter.network.build import Draft
from converter.network.net import CaffeNet
from converter.network.origin import Loaded
from prototxt import Blob, Net, Weights
from prototxt.binary.caffemodel import LayerWeights
from prototxt.errors import CaffeError, UsageError, WeightError, within
from prototxt.upgrade import upgrade

from .fold import fold

NOTHING = "it holds no normalisation that the definition lacks"
Load = Callable[..., CaffeNet]
"""`load`, with the options that say how files are read."""


def merged_files(
    files: Sequence[Weights], wanted: Net, given: Mapping[str, Shape], load: Load
) -> list[Weights]:
    """Return what `merged` makes of each file; UsageError where there is none."""
    if not files:
        raise UsageError("no weights are given whose normalisation could be merged")
    return [merged(file, wanted, given, load) for file in files]


def merging_advice(
    draft: Draft,
    merging: Callable[[], list[Weights]],
    fill: Callable[..., Loaded],
    error: CaffeError,
) -> str:
    """Advise to merge normalisation where weights do not fit, and would then."""
    if not isinstance(error, WeightError):
        return ""
    try:
        fill(draft.steps, draft.layers, files=merging())
    except CaffeError:
        return ""
    return "the weights hold normalisation that the definition lacks: --fold-bn merges it"


def merged(weights: Weights, wanted: Net, given: Mapping[str, Shape], load: Load) -> Weights:
    """Return the weights of the file's own network with its normalisation folded in, in double.

    `wanted` is the definition that they are for, `given` the shapes of its inputs that it does not
    say. Raises UsageError for a file that holds no network, and where nothing is to be merged.
    """
    own = weights.net
    with within(weights.source):
        if own is None:
            raise UsageError(
                "it holds blobs alone, and not which layer normalises which",
                fix="convert its own definition with --fold-bn --format caffemodel first",
            )
        there = {layer.name for layer in wanted.layers}
        if not {layer.name for layer in weights.layers if layer.blobs} - there:
            raise UsageError(NOTHING)
        shapes = _inputs(own, wanted, given)
        file = partial(load, upgrade(own), [weights], dtype=torch.float64, input_shapes=shapes)
        try:
            net = file(deploy=True)
        except CaffeError:
            net = file()  # the definition has labels too
        folded = fold(net)
        if not (gone := net.params.keys() - folded.params.keys()) or gone & there:
            raise UsageError(NOTHING)
    layers = [
        LayerWeights(name, "", [_blob(blob) for blob in blobs])
        for name, blobs in folded.params.items()
    ]
    return replace(weights, layers=layers, generation="V2", embedded=None, pages=None)


def _blob(values: torch.Tensor) -> Blob:
    array = blob_array(values)
    return Blob(array.ravel(), array.shape)


def _inputs(own: Net, wanted: Net, given: Mapping[str, Shape]) -> dict[str, Shape]:
    """Return the shapes that are known of what the file's own network is fed."""
    said = {
        top: tuple(shape.dim)
        for layer in wanted.layers
        if layer.type == "Input"
        for top, shape in zip(layer.top, _shapes(layer), strict=False)
    }
    fed = {top for layer in own.layers if not layer.bottom for top in layer.top}
    fed |= set(getattr(own.header, "input", ()))
    return {name: shape for name, shape in {**said, **given}.items() if name in fed}


def _shapes(layer: Any) -> list[Any]:
    shapes = list(layer.input_param.shape)
    return shapes * len(layer.top) if len(shapes) == 1 else shapes
