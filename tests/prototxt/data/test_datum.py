"""Datum messages, to and from images."""

from __future__ import annotations

import io

import numpy as np
import pytest

from prototxt import FormatError
from prototxt.data.datum import read_datum, write_datum
from tests.support.databases import datum

PIXELS = np.random.default_rng(1701).integers(0, 256, (2, 3, 4)).astype(np.uint8)


@pytest.mark.parametrize("image", [PIXELS, PIXELS.astype(np.float32) / 7 - 9])
def test_raw_pixels_are_bytes_or_floats(image: np.ndarray) -> None:
    for data in (datum(image, 5), write_datum(image, 5)):
        read, label = read_datum(data)
        assert (read == image).all()
        assert (read.dtype, read.shape, label) == (image.dtype, (2, 3, 4), 5)
    assert write_datum(image, 5) == datum(image, 5)


def test_a_datum_s_bytes_by_hand() -> None:
    data = b"\x08\x01\x10\x01\x18\x02\x22\x02\x07\xff\x28" + b"\xff" * 9 + b"\x01"
    image, label = read_datum(data)
    assert (image.tolist(), label) == ([[[7, 255]]], -1)
    packed = b"\x08\x01\x10\x01\x18\x02\x32\x08\x00\x00\x80\x3f\x00\x00\x00\xc0"
    assert read_datum(packed)[0].tolist() == [[[1, -2]]]


def test_encoded_images_are_decoded_as_asked_for() -> None:
    pillow = pytest.importorskip("PIL.Image", reason="images need Pillow")
    buffer = io.BytesIO()
    pillow.fromarray(PIXELS[0]).save(buffer, "PNG")
    data = write_datum(buffer.getvalue(), 3)
    image, label = read_datum(data)
    assert (image == PIXELS[:1]).all()
    assert label == 3
    assert (read_datum(data, color=True)[0] == PIXELS[:1]).all()
    assert read_datum(data, color=True)[0].shape == (3, 3, 4)
    with pytest.raises(FormatError, match="no image"):
        read_datum(write_datum(b"no image", 3))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\xff", "not the bytes of a Datum"),
        (datum(PIXELS)[:9], "not the bytes of a Datum"),
        (b"", r"channels, height and width are \(0, 0, 0\), wants 1 or more"),
        (datum(PIXELS).replace(b"\x08\x02", b"\x08\x03", 1), "24 pixels, 3 x 3 x 4 wants 36"),
        (b"\x08\x01\x10\x01\x18\x02", "0 pixels, 1 x 1 x 2 wants 2"),
    ],
)
def test_what_is_no_datum_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(FormatError, match=says):
        read_datum(data)
