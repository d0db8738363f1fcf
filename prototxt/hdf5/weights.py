"""HDF5 weights: `/data/<layer>/<index>`, as Caffe writes .caffemodel.h5."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from prototxt.binary.blob import Array, Blob
from prototxt.binary.caffemodel import LayerWeights, Weights
from prototxt.errors import FormatError, UnsupportedError, within

from .file import h5py_for, reading, writing

Layers = Sequence[tuple[str, Sequence[Array | None]]]
"""Layers' names and their blobs, in order."""


def read_hdf5(path: str | Path) -> Weights:
    """Read a .caffemodel.h5; its layers come in the file's own order, by name."""
    h5py = h5py_for(path)
    layers: list[LayerWeights] = []
    with reading(path, h5py) as file:
        if not isinstance(file.get("data"), h5py.Group):
            raise FormatError("no group `data`: no weights of Caffe's")
        _collect(file["data"], "", layers)
    return Weights(layers, str(path), "HDF5")


def write_hdf5(path: str | Path, layers: Layers, diffs: Layers | None = None) -> None:
    """Write weights as Caffe writes .caffemodel.h5, whole or not at all.

    `layers` are all the network's, those without blobs and Split layers too; a blob is None where
    another layer owns it. `diffs` are their gradients, which stand under `diff` in place of `data`.
    Raises UnsupportedError for names that HDF5 cannot hold, see `check_names`.
    """
    h5py = h5py_for(path)
    with within(str(path)):
        check_names([name for name, _ in layers])
        with writing(path, h5py) as file:
            for what, held in (("data", layers), ("diff", diffs)):
                if held is not None:
                    _write_group(file.create_group(what), held)


def _write_group(outer: Any, layers: Layers) -> None:
    for name, blobs in layers:
        group = outer.create_group(name)
        for index, array in enumerate(blobs):
            if array is not None:
                group.create_dataset(str(index), data=array)


def check_names(names: Sequence[str]) -> None:
    """Raise UnsupportedError for layers' names from which Caffe's HDF5 files cannot be made."""
    fix = "snapshot_format: BINARYPROTO holds every network"
    seen: set[str] = set()
    for name in names:
        if "/" in name or name in ("", "."):
            raise UnsupportedError(f"layer {name!r}: HDF5 has no such names", fix=fix)
        if name in seen:
            raise UnsupportedError(f"layer {name!r}: HDF5 holds a name once", fix=fix)
        seen.add(name)


def _collect(group: Any, name: str, layers: list[LayerWeights]) -> None:
    """Add the layer that a group is, and those inside it: `/` in a layer's name nests groups."""
    blobs: dict[int, Blob] = {}
    inner = []
    for key, item in group.items():
        if hasattr(item, "items"):
            inner.append((f"{name}/{key}" if name else key, item))
        elif name and key.isdecimal():
            with within(f"layer {name!r}: blob {key}"):
                blobs[int(key)] = dataset_blob(item)
        else:
            raise FormatError(f"layer {name!r}: a dataset {key!r}, wants a blob's number")
    if name and (blobs or not inner):
        count = max(blobs, default=-1) + 1
        layers.append(LayerWeights(name, "", [blobs.get(index) for index in range(count)]))
    for nested, item in inner:
        _collect(item, nested, layers)


def dataset_blob(dataset: Any) -> Blob:
    """Read one dataset of floats."""
    if dataset.dtype.kind != "f":
        raise FormatError(f"values of type {dataset.dtype}, wants float")
    values = np.asarray(dataset[()])
    return Blob(values.reshape(-1), tuple(int(dim) for dim in dataset.shape))
