"""HDF5 weights: `/data/<layer>/<index>`, as Caffe writes .caffemodel.h5."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from prototxt.blob import Blob
from prototxt.caffemodel import LayerWeights, Weights
from prototxt.errors import CaffeError, FormatError, within

MAGIC = b"\x89HDF\r\n\x1a\n"


def read_hdf5(path: str | Path) -> Weights:
    """Read a .caffemodel.h5; its layers come in the file's own order, by name."""
    try:
        import h5py
    except ImportError:
        raise CaffeError(
            f"{path}: HDF5 weights need h5py", fix='pip install "caffeport[hdf5]"'
        ) from None
    with within(str(path)):
        try:
            with h5py.File(path, "r") as file:
                if not isinstance(file.get("data"), h5py.Group):
                    raise FormatError("no group `data`: no weights of Caffe's")
                layers: list[LayerWeights] = []
                _collect(file["data"], "", layers)
        except (OSError, RuntimeError, KeyError) as error:
            raise FormatError(f"a damaged HDF5 file: {error}") from None
    return Weights(layers, str(path), "HDF5")


def _collect(group: Any, name: str, layers: list[LayerWeights]) -> None:
    """Add the layer that a group is, and those inside it: `/` in a layer's name nests groups."""
    blobs: dict[int, Blob] = {}
    inner = []
    for key, item in group.items():
        if hasattr(item, "items"):
            inner.append((f"{name}/{key}" if name else key, item))
        elif name and key.isdecimal():
            with within(f"layer {name!r}: blob {key}"):
                blobs[int(key)] = _blob(item)
        else:
            raise FormatError(f"layer {name!r}: a dataset {key!r}, wants a blob's number")
    if name and (blobs or not inner):
        count = max(blobs, default=-1) + 1
        layers.append(LayerWeights(name, "", [blobs.get(index) for index in range(count)]))
    for nested, item in inner:
        _collect(item, nested, layers)


def _blob(dataset: Any) -> Blob:
    if dataset.dtype.kind != "f":
        raise FormatError(f"values of type {dataset.dtype}, wants float")
    values = np.asarray(dataset[()])
    return Blob(values.reshape(-1), tuple(int(dim) for dim in dataset.shape))
