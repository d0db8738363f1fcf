"""Arrays in Caffe's messages, and back.

Caffe: python/caffe/io.py
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from typing import Any

import numpy as np

LEGACY = ("num", "channels", "height", "width")


def _pb2() -> Any:
    return import_module("caffe.proto.caffe_pb2")


def blobproto_to_array(blob: Any, return_diff: bool = False) -> np.ndarray:
    """Return the values of a BlobProto, or its gradients; ValueError for another shape's."""
    double, single = ("double_diff", "diff") if return_diff else ("double_data", "data")
    values = getattr(blob, double)
    values = np.array(values, float) if len(values) else np.array(getattr(blob, single), np.float32)
    if any(blob.HasField(name) for name in LEGACY):
        return values.reshape([getattr(blob, name) for name in LEGACY])
    return values.reshape(tuple(blob.shape.dim))


def array_to_blobproto(arr: Any, diff: Any = None) -> Any:
    """Return an array as a BlobProto."""
    blob = _pb2().BlobProto()
    blob.shape.dim.extend(arr.shape)
    blob.data.extend(np.asarray(arr, float).flat)
    if diff is not None:
        blob.diff.extend(np.asarray(diff, float).flat)
    return blob


def arraylist_to_blobprotovector_str(arraylist: Iterable[Any]) -> bytes:
    """Return arrays as the bytes of a BlobProtoVector."""
    vector = _pb2().BlobProtoVector()
    vector.blobs.extend([array_to_blobproto(array) for array in arraylist])
    written: bytes = vector.SerializeToString()
    return written


def blobprotovector_str_to_arraylist(text: bytes) -> list[np.ndarray]:
    """Return the arrays of a BlobProtoVector's bytes."""
    vector = _pb2().BlobProtoVector.FromString(text)
    return [blobproto_to_array(blob) for blob in vector.blobs]


def array_to_datum(arr: Any, label: int | None = None) -> Any:
    """Return an array of three axes as a Datum: bytes as they are, others as floats."""
    if arr.ndim != 3:
        raise ValueError(f"the array has {arr.ndim} axes, a Datum has 3")
    datum = _pb2().Datum()
    datum.channels, datum.height, datum.width = arr.shape
    if arr.dtype == np.uint8:
        datum.data = arr.tobytes()
    else:
        datum.float_data.extend(np.asarray(arr, float).flat)
    if label is not None:
        datum.label = label
    return datum


def datum_to_array(datum: Any) -> np.ndarray:
    """Return a Datum's values; what it is labelled stays with it."""
    shape = datum.channels, datum.height, datum.width
    if len(datum.data):
        return np.frombuffer(datum.data, np.uint8).reshape(shape).copy()
    return np.array(datum.float_data, float).reshape(shape)
