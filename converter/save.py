"""From a network back to Caffe's own file."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

import numpy as np
import torch

from prototxt import insert_splits, write_caffemodel
from prototxt.errors import WeightError

from .module import CaffeNet


def save_caffemodel(net: CaffeNet, path: str | PathLike[str]) -> None:
    """Write the network and its blobs as Caffe writes a snapshot, whole or not at all.

    The file holds the layers of the network's phase with Split layers inserted, and every blob as
    float (double for a float64 network). Caffe loads it; so does `load`, bit for bit.
    """
    if net.definition is None:
        raise WeightError("the network was not loaded from a definition, which the file holds too")
    definition = insert_splits(net.definition)
    keys = iter(net.layers)
    blobs = []
    for layer in definition.layers:
        is_split = layer.type == "Split" and layer not in net.definition.layers
        blobs.append([] if is_split else [_array(blob) for blob in net.layers[next(keys)].blobs])
    write_caffemodel(path if isinstance(path, Path) else Path(path), definition, blobs)


def _array(blob: torch.Tensor) -> np.ndarray:
    blob = blob.detach().cpu()
    exact = blob if blob.dtype == torch.float64 else blob.float()
    return exact.numpy()
