"""Datum messages: an image and its label, as Caffe's databases hold them."""

from __future__ import annotations

from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from prototxt.errors import FormatError
from prototxt.schema import dialect

from .images import decode_image


def read_datum(data: bytes, *, color: bool | None = None) -> tuple[NDArray[Any], int]:
    """Return a Datum's image, C x H x W, and its label.

    Pixels are bytes or float32. Only an encoded image (JPEG, PNG) heeds `color`: with it C is 3,
    without it 1, and None keeps what the image has. Raises FormatError where the bytes are no
    Datum, or not as many as its sizes say.
    """
    try:
        datum: Any = _datum_class().FromString(data)
    except DecodeError:
        raise FormatError("not the bytes of a Datum") from None
    if datum.encoded:
        return decode_image(datum.data, color=color).transpose(2, 0, 1), datum.label
    shape = (datum.channels, datum.height, datum.width)
    if min(shape) < 1:
        raise FormatError(f"channels, height and width are {shape}, wants 1 or more")
    pixels: NDArray[Any] = (
        np.frombuffer(datum.data, np.uint8)
        if datum.data
        else np.asarray(datum.float_data, np.float32)
    )
    if pixels.size != (wants := shape[0] * shape[1] * shape[2]):
        raise FormatError(f"{pixels.size} pixels, {' x '.join(map(str, shape))} wants {wants}")
    return pixels.reshape(shape), datum.label


def write_datum(image: NDArray[Any] | bytes, label: int) -> bytes:
    """Return the bytes of a Datum: of a C x H x W image, bytes or floats, or of an image's file."""
    datum: Any = _datum_class()(label=label)
    if isinstance(image, bytes):
        datum.encoded, datum.data = True, image
        return bytes(datum.SerializeToString())
    datum.channels, datum.height, datum.width = image.shape
    if image.dtype == np.uint8:
        datum.data = image.tobytes()
    else:
        datum.float_data.extend(image.ravel().tolist())
    return bytes(datum.SerializeToString())


def _datum_class() -> Any:
    return dialect("bvlc").message("Datum")
