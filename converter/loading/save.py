"""From a network back to Caffe's own file."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np

from caffe_layers import Layer
from converter.network.arrays import blob_array
from converter.network.net import CaffeNet
from prototxt import insert_splits, write_caffemodel, write_hdf5
from prototxt.errors import UnsupportedError, WeightError
from prototxt.passes.saved_form import saved_form


def save_caffemodel(net: CaffeNet, path: str | PathLike[str]) -> None:
    """Write the network and its blobs as Caffe writes a snapshot, whole or not at all.

    The file holds the network's name, the layers of its phase with Split layers inserted, and every
    blob as float (double for a float64 network). Caffe loads it; so does `load`, bit for bit. Where
    `path` ends in `.h5` it is HDF5, which holds no definition, and a shared blob once.
    """
    if net.definition is None:
        raise WeightError("the network was not loaded from a definition, which the file holds too")
    if net.optimized:
        raise UnsupportedError(
            "an optimized network has layers that Caffe has not",
            fix="save the network that it was made of; converter.fold(net) is one that Caffe reads",
        )
    definition = insert_splits(net.definition)
    own = iter(net.steps)
    step = next(own, None)
    held: dict[int, Layer] = {}
    losses: set[int] = set()
    for index, layer in enumerate(definition.layers):
        # What insert_splits adds stands between the network's own layers, in their order.
        if step is not None and layer.name == step.layer.name and layer.type == step.layer.type:
            held[index] = net.layers[step.key]
            if step.cls.is_loss:
                losses.add(index)
            step = next(own, None)
    if Path(path).suffix == ".h5":
        names = [layer.name for layer in definition.layers]
        owned = [_owned(held[index]) if index in held else [] for index in range(len(names))]
        write_hdf5(Path(path), list(zip(names, owned, strict=True)))
    else:
        blobs: dict[int | str, list[np.ndarray]] = {
            index: [blob_array(blob) for blob in layer.blobs] for index, layer in held.items()
        }
        write_caffemodel(Path(path), saved_form(definition, net.phase, losses), blobs)


def _owned(layer: Layer) -> list[np.ndarray | None]:
    return [
        None if layer.shares_blob(name) else blob_array(blob)
        for name, blob in zip(layer.blob_names, layer.blobs, strict=True)
    ]
