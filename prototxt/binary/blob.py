"""Caffe's blobs: read as views of the file's bytes, and written."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prototxt.errors import FormatError, UnsupportedError, WeightError

from . import wire

MAX_AXES = 32
MAX_COUNT = 2**31 - 1  # Caffe counts a blob's values in an int

Array = NDArray[Any]
Shape = tuple[int, ...]
_LEGACY = {1: 0, 2: 1, 3: 2, 4: 3}  # num, channels, height, width
_DATA, _DIFF, _SHAPE, _DOUBLE_DATA, _DOUBLE_DIFF, _RAW_TYPE, _RAW = 5, 6, 7, 8, 9, 10, 12
_VOLUME_DATA = 6  # of C3D, after five sizes
_FLOATS = {_DATA: "<f4", _DIFF: "<f4", _DOUBLE_DATA: "<f8", _DOUBLE_DIFF: "<f8"}
_RAW_TYPES = {0: "<f8", 1: "<f4", 2: "<f2"}  # NVIDIA's enum Type


@dataclass(frozen=True, eq=False)
class Blob:
    """A blob as its file holds it: `values` flat, in the stored type, and its `shape`.

    `legacy` says that the file gave num, channels, height and width, not a shape, `raw` that the
    values lie in NVIDIA's `raw_data`.
    """

    values: Array
    shape: Shape
    legacy: bool = False
    raw: bool = False

    @property
    def array(self) -> Array:
        """The values in their shape; a view."""
        return self.values.reshape(self.shape)

    def fits(self, target: Sequence[int]) -> bool:
        """Tell whether Caffe would load this blob into one of the target's shape.

        Shapes must be equal; a legacy one equals a target of at most its four axes whose missing
        leading axes count as 1 (C3D's five).
        """
        target = tuple(target)
        if not self.legacy:
            return self.shape == target
        return self.shape == (1,) * (len(self.shape) - len(target)) + target


def read(data: memoryview, start: int, end: int) -> Blob:
    """Read the BlobProto between two offsets; packed values are a view of `data`."""
    values: dict[int, list[Array]] = {number: [] for number in _FLOATS}
    legacy: list[int] | None = None
    dims: list[int] = []
    raw_type, raw = 0, None
    at = start
    while at < end:
        field = wire.read(data, at, end)
        at = field.end
        if field.number == _DATA and field.wire_type == wire.VARINT and legacy is not None:
            return _read_volume(data, start, end)
        if field.number in _FLOATS:
            chunk, at = _floats(data, field, end, _FLOATS[field.number])
            values[field.number].append(chunk)
        elif field.number in _LEGACY and field.wire_type == wire.VARINT:
            legacy = legacy or [0, 0, 0, 0]
            legacy[_LEGACY[field.number]] = wire.signed(field.value)
        elif field.number == _SHAPE and field.wire_type == wire.BYTES:
            dims += _dims(data, field)
        elif field.number == _RAW_TYPE and field.wire_type == wire.VARINT:
            raw_type = field.value
        elif field.number == _RAW and field.wire_type == wire.BYTES:
            raw = field
    shape = tuple(dims if legacy is None else legacy)
    _check_shape(shape, start)
    flat = _joined(values[_DOUBLE_DATA] or values[_DATA])
    if not flat.size and raw is not None:
        flat = _raw(data, raw, raw_type)
    if flat.size != (count := math.prod(shape)):
        if not flat.size and (values[_DIFF] or values[_DOUBLE_DIFF]):
            message = f"byte {start}: the values lie in `diff`, which Caffe does not load"
            raise FormatError(message, fix="move them to `data`")
        wants = f"its shape {shape} wants {count}" if shape else "it has no shape, which wants 1"
        raise FormatError(f"byte {start}: {flat.size} values, {wants}")
    return Blob(flat, shape, legacy is not None, raw is not None)


def _read_volume(data: memoryview, start: int, end: int) -> Blob:
    """Read C3D's BlobProto, told by a width where BVLC's has values.

    num, channels, length, height and width are its fields 1 to 5, data is 6 and diff 7.
    """
    shape, values = [0] * _VOLUME_DATA, []
    at = start
    while at < end:
        field = wire.read(data, at, end)
        at = field.end
        if field.number < _VOLUME_DATA and field.wire_type == wire.VARINT:
            shape[field.number] = wire.signed(field.value)
        elif field.number in (_VOLUME_DATA, _VOLUME_DATA + 1):
            chunk, at = _floats(data, field, end, "<f4")
            values += [chunk] if field.number == _VOLUME_DATA else []
    dims, flat = tuple(shape[1:]), _joined(values)
    _check_shape(dims, start)
    if flat.size != (count := math.prod(dims)):
        raise FormatError(f"byte {start}: {flat.size} values, its shape {dims} wants {count}")
    return Blob(flat, dims, legacy=True)


def _floats(data: memoryview, field: wire.Field, end: int, of: str) -> tuple[Array, int]:
    """Read a packed field or a run of unpacked ones; return the values and the offset after."""
    dtype = np.dtype(of)
    if field.wire_type == wire.BYTES:
        size = field.end - field.value
        if size % dtype.itemsize:
            message = f"field {field.number} has {size} bytes, no multiple of {dtype.itemsize}"
            raise FormatError(f"byte {field.start}: {message}")
        return _view(data, field, dtype), field.end
    if field.end - field.value != dtype.itemsize or field.wire_type == wire.VARINT:
        message = f"field {field.number} has wire type {field.wire_type}"
        raise FormatError(f"byte {field.start}: {message}")
    # The run ends where a key differs: the next field begins where one more value would.
    key = field.value - field.start
    item = np.dtype([("key", "u1", (key,)), ("value", dtype)])
    run = np.frombuffer(data, item, (end - field.start) // item.itemsize, field.start)
    other = np.flatnonzero((run["key"] != run["key"][0]).any(axis=1))
    count = int(other[0]) if other.size else len(run)
    return run["value"][:count], field.start + count * item.itemsize


def _dims(data: memoryview, shape: wire.Field) -> list[int]:
    dims: list[int] = []
    for field in wire.fields(data, shape.value, shape.end):
        if field.number != 1:
            continue
        if field.wire_type == wire.VARINT:
            dims.append(wire.signed(field.value))
        elif field.wire_type == wire.BYTES:
            at = field.value
            while at < field.end:
                value, at = wire.varint(data, at, field.end)
                dims.append(wire.signed(value))
        else:
            raise FormatError(f"byte {field.start}: a shape's dim has wire type {field.wire_type}")
        if len(dims) > MAX_AXES:
            raise FormatError(f"byte {field.start}: a blob has at most {MAX_AXES} axes")
    return dims


def _check_shape(shape: Shape, at: int) -> None:
    if any(dim < 0 for dim in shape):
        raise FormatError(f"byte {at}: a negative dimension in the shape {shape}")
    if math.prod(shape) > MAX_COUNT:
        raise FormatError(f"byte {at}: the shape {shape} has more than {MAX_COUNT} values")


def _joined(chunks: list[Array]) -> Array:
    if not chunks:
        return np.empty(0, np.float32)
    return chunks[0] if len(chunks) == 1 else np.concatenate(chunks)


def _raw(data: memoryview, field: wire.Field, raw_type: int) -> Array:
    if raw_type not in _RAW_TYPES:
        raise UnsupportedError(f"byte {field.start}: raw data of type {raw_type}, wants a float")
    dtype, size = np.dtype(_RAW_TYPES[raw_type]), field.end - field.value
    if size % dtype.itemsize:
        message = f"{size} bytes of raw data, no multiple of {dtype.itemsize}"
        raise FormatError(f"byte {field.start}: {message}")
    return _view(data, field, dtype)


def _view(data: memoryview, field: wire.Field, dtype: np.dtype[Any]) -> Array:
    count = (field.end - field.value) // dtype.itemsize
    return np.frombuffer(data, dtype, count, field.value) if count else np.empty(0, dtype)


def encoded(array: Array, *, legacy: bool = False) -> tuple[bytes, memoryview, bytes]:
    """Return a BlobProto as Caffe writes it: what stands before the values, they, and the shape.

    A `legacy` one has num, channels, height and width in front, and no shape.
    """
    if array.dtype.kind != "f" or array.dtype.itemsize not in (4, 8):
        raise WeightError(f"values of type {array.dtype}, a blob holds float32 or float64")
    if array.ndim > MAX_AXES or array.size > MAX_COUNT:
        message = f"shape {array.shape}, a blob has at most {MAX_AXES} axes and {MAX_COUNT} values"
        raise WeightError(message)
    number = _DATA if array.dtype.itemsize == 4 else _DOUBLE_DATA
    flat: Any = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1)
    values = memoryview(flat).cast("B")
    head = _length_prefixed(number, len(values)) if len(values) else b""
    if legacy and array.ndim == len(_LEGACY):  # C3D's five sizes become a shape
        dims = zip(_LEGACY, array.shape, strict=True)
        sizes = (wire.encode_key(key, wire.VARINT) + wire.encode_varint(dim) for key, dim in dims)
        return b"".join(sizes) + head, values, b""
    shape = b"".join(map(wire.encode_varint, array.shape))
    if shape:
        shape = _length_prefixed(1, len(shape)) + shape
        shape = _length_prefixed(_SHAPE, len(shape)) + shape
    return (head, values, shape) if number < _SHAPE else (shape + head, values, b"")


def _length_prefixed(number: int, size: int) -> bytes:
    return wire.encode_key(number, wire.BYTES) + wire.encode_varint(size)
