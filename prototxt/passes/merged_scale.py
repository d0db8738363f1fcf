"""Scale layers that Intel's Caffe has merged into the BatchNorm before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from prototxt.binary.caffemodel import Weights
from prototxt.blob_index import BlobIndex
from prototxt.errors import WeightError, within
from prototxt.net import Net, copied


def merge_scales(net: Net, files: Sequence[Weights]) -> Net:
    """Return the network without the Scale layers whose numbers the weights' BatchNorms hold.

    Intel's engines merge a BatchNorm (3 blobs) and the Scale after it (2) into one layer of 5
    blobs, which takes the Scale's top; published definitions still show both.

    Raises WeightError for the reverse, where it is silent: a BatchNorm without a Scale after it
    whose weights are followed by those of a Scale that the network lacks.
    """
    held = {layer.name: len(layer.blobs) for file in files for layer in file.layers if layer.blobs}
    blobs = BlobIndex.of(net.layers)
    layers: list[Any] = list(net.layers)
    merged_scales: set[int] = set()
    for index, layer in enumerate(net.layers):
        if layer.type != "BatchNorm" or len(layer.top) != 1 or layer.name not in held:
            continue
        readers = blobs.readers(blobs.tops[index][0])
        scale = readers[0] if len(readers) == 1 else -1
        if scale >= 0 and net.layers[scale].type != "Scale":
            scale = -1
        if held[layer.name] == 3 and scale < 0:
            _refuse_lost_scale(net, index, files)
        if held[layer.name] in (4, 5) and scale >= 0 and net.layers[scale].name not in held:
            merged = copied(layer)
            merged.top[0] = net.layers[scale].top[0]
            layers[index] = merged
            merged_scales.add(scale)
    if not merged_scales:
        return net
    kept = [index for index in range(len(layers)) if index not in merged_scales]
    return replace(net, layers=layers).keeping(kept)


def _refuse_lost_scale(net: Net, index: int, files: Sequence[Weights]) -> None:
    here = {layer.name for layer in net.layers}
    for file in files:
        for layer, after in zip(file.layers, file.layers[1:], strict=False):
            scales = after.type in ("Scale", "SCALE") and after.name not in here
            if layer.name == net.layers[index].name and scales:
                with within(net.place(index)):
                    raise WeightError(
                        f"{file.source} scales what it normalizes, by {after.name!r}, and the "
                        "network has no such layer",
                        fix="Intel's engines merge the two: take the definition that shows both",
                    )
