"""Weights in safetensors, as `caffeport convert --format safetensors` writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prototxt.errors import FormatError, within

from .blob import Blob
from .caffemodel import LayerWeights, Weights

GENERATION = "safetensors"
_TYPES = {"F16", "F32", "F64", "I64"}  # the last of counters, which layers keep beside their blobs
_FIX = "caffeport reads the safetensors that its own convert wrote"


def read_safetensors(path: str | Path) -> Weights:
    """Read tensors named `LAYER.BLOB`; the metadata say which further names share one.

    Raises FormatError for a damaged file, and for one of other networks than Caffe's.
    """
    from safetensors import SafetensorError, safe_open  # no other file of Caffe's needs it

    with within(str(path)):
        try:
            with safe_open(path, "np") as file:
                return Weights(_layers(file), str(path), GENERATION)
        except SafetensorError as error:
            raise FormatError(f"a damaged safetensors file: {error}") from None


def _layers(file: Any) -> list[LayerWeights]:
    metadata = dict(file.metadata() or {})
    if "model" in metadata:
        problem = f"weights of {metadata['model']}, whose names are not those of Caffe's layers"
        raise FormatError(problem, fix="convert with `--format safetensors`, or give the source")
    tensors = {key: _blob(file, key) for key in list(file.keys())}
    # `weight` before others, as in every layer of Caffe's: the file's own order is of types.
    held = {key: tensors[key] for key in sorted(tensors, key=_place)}
    held |= {key: held[owner] for key, owner in metadata.items() if owner in held}
    layers: dict[str, LayerWeights] = {}
    for key, blob in held.items():
        layer, dot, name = key.rpartition(".")
        if not dot:
            raise FormatError(f"a tensor {key!r}, wants LAYER.BLOB", fix=_FIX)
        found = layers.setdefault(layer, LayerWeights(layer, "", []))
        found.blobs.append(blob)
        found.names.append(name)
    if not layers:
        raise FormatError("no tensors in it")
    return list(layers.values())


def _place(key: str) -> tuple[bool, str]:
    return key.rpartition(".")[2] != "weight", key


def _blob(file: Any, key: str) -> Blob:
    kind = file.get_slice(key).get_dtype()
    if kind not in _TYPES:
        raise FormatError(f"tensor {key!r}: values of type {kind}, wants F16, F32 or F64", fix=_FIX)
    array = file.get_tensor(key)
    return Blob(array.reshape(-1), tuple(map(int, array.shape)))
