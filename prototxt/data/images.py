"""Image files as Caffe's layers see them: decoded and resized as OpenCV does."""

from __future__ import annotations

import io
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from prototxt.errors import CaffeError, FormatError, UnsupportedError, within
from prototxt.optional import optional

Image = NDArray[np.uint8]

ONE = 2048  # OpenCV's bilinear weights are counted in these parts
COLOURS = {1: "L", 3: "RGB", 4: "RGBA"}
ORIENTATION = 0x0112  # of EXIF's tags


def read_image(path: str | Path, *, color: bool | None = True, upright: bool = False) -> Image:
    """Return an image file as H x W x C bytes in OpenCV's order: B, G, R.

    With `color` C is 3, without it 1; None keeps what the file has: 1, 3, or 4 with transparency.
    Its orientation mark (EXIF), which cameras write, is followed if it is wanted `upright`. Raises
    FormatError for what is no image, and UnsupportedError for pixels that do not fit into bytes
    where None keeps them.
    """
    with within(str(path)):
        return _decoded(path, color, upright=upright)


def decode_image(data: bytes, *, color: bool | None = True) -> Image:
    """Return the image whose file's bytes these are, as `read_image` does."""
    return _decoded(io.BytesIO(data), color)


def _decoded(file: Any, color: bool | None, *, upright: bool = False) -> Image:
    pillow = _pillow()
    try:
        with pillow.open(file) as image:
            if color is False:
                image.draft("L", image.size)  # a JPEG's brightness is in the file itself
            pixels = _turned(_converted(image, color), image if upright else None)
    except CaffeError:
        raise
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, OSError) and error.strerror:
            raise FormatError(f"the image cannot be read: {error.strerror}") from None
        # Pillow names the file, or the buffer in memory, which says nothing.
        why = "of no known kind" if "identify" in str(error) else str(error)
        raise FormatError(f"no image: {why}") from None
    except pillow.DecompressionBombError as error:
        raise UnsupportedError(str(error)) from None
    if pixels.ndim == 2:
        return np.ascontiguousarray(pixels[:, :, None])
    return np.ascontiguousarray(np.concatenate([pixels[:, :, 2::-1], pixels[:, :, 3:]], axis=2))


def _converted(image: Any, color: bool | None) -> NDArray[Any]:
    mode = image.mode
    if mode.startswith("I;16"):
        if color is None:
            raise UnsupportedError("an image of 16 bits a pixel, wants 8")
        pixels = (np.asarray(image) >> 8).astype(np.uint8)
        return np.repeat(pixels[:, :, None], 3, axis=2) if color else pixels
    if mode in {"I", "F"}:
        raise UnsupportedError(f"an image of mode {mode}, wants 8 bits a pixel")
    if color is not None:
        return np.asarray(image.convert("RGB" if color else "L"))
    return np.asarray(image.convert(COLOURS[_channels(image)]))


def _turned(pixels: NDArray[Any], image: Any | None) -> NDArray[Any]:
    """Return the pixels as an image's mark says that they are looked at; None says nothing.

    Of the marks 1 to 8 those from 5 on exchange rows and columns, first of all.
    """
    mark = 1
    if image is not None:
        with suppress(SyntaxError, ValueError, struct.error):  # a damaged mark says nothing
            mark = image.getexif().get(ORIENTATION, 1)
    if mark not in range(1, 9):
        return pixels
    if mark > 4:
        pixels = pixels.swapaxes(0, 1)
    return pixels[:: -1 if mark in (3, 4, 7, 8) else 1, :: -1 if mark in (2, 3, 6, 7) else 1]


def _channels(image: Any) -> int:
    if image.mode in {"LA", "RGBA", "PA", "La", "RGBa"} or "transparency" in image.info:
        return 4
    return 1 if image.mode in {"1", "L"} else 3


def resize(image: Image, height: int, width: int) -> Image:
    """Return an H x W x C image in another size: bilinear, with OpenCV's fixed-point rounding."""
    if image.shape[:2] == (height, width):
        return image
    above, below, down = _taps(image.shape[0], height)
    left, right, across = _taps(image.shape[1], width)
    wide = image.astype(np.int32)
    wide = wide[:, left] * across[0][:, None] + wide[:, right] * across[1][:, None]
    # As OpenCV rounds: each row's share by itself, and only then their sum.
    upper = (down[0][:, None, None] * (wide[above] >> 4)) >> 16
    lower = (down[1][:, None, None] * (wide[below] >> 4)) >> 16
    narrow: Image = ((upper + lower + 2) >> 2).astype(np.uint8)
    return narrow


def _taps(size: int, wanted: int) -> tuple[NDArray[Any], NDArray[Any], NDArray[np.int32]]:
    """Return each pixel's two neighbours along an axis, and the weights of both."""
    at = ((np.arange(wanted) + 0.5) * (1 / (wanted / size)) - 0.5).astype(np.float32)
    first = np.floor(at).astype(np.int64)
    part = at - first.astype(np.float32)
    weights = np.rint(np.stack([1 - part, part]) * np.float32(ONE)).astype(np.int32)
    return first.clip(0, size - 1), (first + 1).clip(0, size - 1), weights


def _pillow() -> Any:
    return optional("PIL.Image", "images", "reading images needs")
