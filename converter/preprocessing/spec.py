"""What a network wants done to an image before it sees it, as one small value."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isfinite
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from prototxt import read_blob
from prototxt.errors import FormatError, ShapeError, UsageError

ORDERS = ("BGR", "RGB", "GRAY")
LUMA = (0.299, 0.587, 0.114)
"""The weights of R, G and B in a gray value (BT.601), as OpenCV reads gray images."""

CHANNELS = (1, 3)
"""Of images."""

Size = tuple[int, int]
Mean = str | PathLike[str] | float | Sequence[float] | np.ndarray
"""How a user says one: `104,117,123`, a file, numbers or an array."""
Sides = str | int | Size
"""How a user says a size: `224`, `256x320`, or as numbers."""


@dataclass(frozen=True)
class Preprocessing:
    """From an RGB image of bytes to the network's input: `(resized and cropped - mean) * scale`.

    `order` is that of the input's channels. `resize` is the shorter side, or height and width
    (None: as it is); resizing is bilinear between pixel centres, as OpenCV's, without rounding.
    `crop` is taken from the middle. `mean` has one value for all channels, one for each, or is an
    image, channels x height x width, of the size that `resize` gives. `origin` says in words where
    this comes from. With `exact` an image has to be of the input's size.
    """

    order: str = "BGR"
    mean: tuple[float, ...] = (0.0,)
    scale: float = 1.0
    resize: int | Size | None = None
    crop: Size | None = None
    mean_image: np.ndarray | None = None
    origin: str = ""
    exact: bool = False

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise UsageError(f"channels {self.order!r}, wants one of {', '.join(ORDERS)}")
        if not (isfinite(self.scale) and self.scale):
            raise UsageError(f"the scale is {self.scale}: no image is left")
        if not all(map(isfinite, self.mean)):
            raise UsageError(f"the mean is {self.mean}, wants finite values")
        if self.mean_image is None and len(self.mean) not in (1, self.channels):
            wants = " or ".join(map(str, sorted({1, self.channels})))
            raise ShapeError(f"{len(self.mean)} mean values, wants {wants}")
        if self.mean_image is not None and self.mean_image.shape[0] != self.channels:
            shape = self.mean_image.shape
            raise ShapeError(f"the mean image is {shape}, wants {self.channels} channels")
        least = self.resized(1, 1) if self.resize is not None else self.crop
        if self.crop and least and (least[0] < self.crop[0] or least[1] < self.crop[1]):
            raise ShapeError(f"{_size(self.resize or 0)} is less than the crop {_size(self.crop)}")

    @property
    def channels(self) -> int:
        """How many channels the input has."""
        return 1 if self.order == "GRAY" else 3

    @property
    def mean_planes(self) -> np.ndarray:
        """The mean as C x H x W or, the same everywhere, C x 1 x 1."""
        if self.mean_image is not None:
            return self.mean_image
        return np.array(self.mean, np.float32)[:, None, None]

    def resized(self, height: int, width: int) -> Size:
        """Return height and width of an image after resizing; the longer side is rounded down."""
        if self.resize is None:
            return height, width
        if isinstance(self.resize, tuple):
            return self.resize
        short = min(height, width)
        return height * self.resize // short, width * self.resize // short

    def for_input(self, shape: tuple[int, ...]) -> Preprocessing:
        """Return this for an input of N x C x H x W: what says no crop crops to H x W.

        Raises ShapeError where the channels or the crop are not the input's.
        """
        if len(shape) != 4 or shape[1] != self.channels:
            raise ShapeError(
                f"{self.order} images for an input {shape}, wants {self.channels} channels"
            )
        size = (shape[2], shape[3])
        if self.crop not in (None, size):
            raise ShapeError(
                f"the crop is {self.crop[0]}x{self.crop[1]}, the input {size[0]}x{size[1]}",
                fix="give the other with --input-shape or --crop",
            )
        return replace(self, crop=size)

    def __str__(self) -> str:
        mean = "/".join(f"{value:g}" for value in self.mean)
        if self.mean_image is not None:
            mean = "a mean image"
        steps = [] if self.resize is None else [f"resize to {_size(self.resize)}"]
        if self.crop is not None:
            size = _size(self.crop)
            steps.append(f"{size} as it is" if self.exact else f"crop the middle {size}")
        said = ", ".join([*steps, f"{self.order}, minus {mean}, times {self.scale:g}"])
        return f"{said} ({self.origin})" if self.origin else said


def _size(size: int | Size) -> str:
    return f"shorter side {size}" if isinstance(size, int) else f"{size[0]}x{size[1]}"


def read_size(size: Sides, *, shorter: bool = False) -> int | Size:
    """Read `224` (a square, or with `shorter` the shorter side) or `256x320`, height first.

    A number or two are as good as their text.
    """
    text = "x".join(map(str, size)) if isinstance(size, tuple | list) else str(size)
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*)?", text):
        raise UsageError(f"{text!r} is no size; write 256 or 256x320")
    sizes = [int(part) for part in text.split("x")]
    if len(sizes) == 1 and shorter:
        return sizes[0]
    return sizes[0], sizes[-1]


def read_mean(mean: Mean) -> dict[str, Any]:
    """Read `104,117,123` or the path of a mean file, as arguments of `Preprocessing`.

    Numbers, and a mean as an array, are as good.
    """
    if not isinstance(mean, str | PathLike):
        try:
            array = np.atleast_1d(mean)
        except ValueError:  # rows of different lengths
            raise UsageError(f"{mean!r} is no mean", fix="(104, 117, 123), or an array") from None
        return _of_array(numbers(array, "the mean"), "the mean")
    text = str(mean)
    if re.fullmatch(r"[-+.\deE]+(,[-+.\deE]+)*", text):
        try:
            values = tuple(map(float, text.split(",")))
        except ValueError:
            raise UsageError(f"{text!r} are no mean values; write 104,117,123") from None
        return {"mean": values, "mean_image": None}
    return mean_file(text)


def mean_file(path: str | Path) -> dict[str, Any]:
    """Read a mean file, `.binaryproto` or `.npy`, as arguments of `Preprocessing`.

    It is an image, channels x height x width or height x width of a single channel, or, as NumPy's
    arrays of Caffe's scripts are, one value for each channel, channels or channels x 1 x 1. Raises
    CaffeError, with the file's name, for what is no mean of finite numbers.
    """
    if Path(path).suffix == ".npz":
        raise UsageError(f"{path}: an archive of arrays, wants one", fix="write it with np.save")
    try:
        mean = _numpy_array(Path(path)) if Path(path).suffix == ".npy" else read_blob(path).array
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    return _of_array(mean, str(path))


def _of_array(mean: np.ndarray, named: str) -> dict[str, Any]:
    """Return a mean as arguments of `Preprocessing`; errors call it `named`."""
    if not (mean.size and (np.abs(mean) <= np.finfo(np.float32).max).all()):
        raise FormatError(f"{named}: a mean of {mean.shape}, wants finite numbers")
    if mean.ndim == 1 or (mean.ndim == 3 and mean.shape[1:] == (1, 1)):
        return {"mean": tuple(map(float, mean.ravel())), "mean_image": None}
    if mean.ndim == 3 and mean.shape[2] in CHANNELS and mean.shape[0] not in CHANNELS:
        raise ShapeError(
            f"{named}: a mean of {mean.shape}, wants channels x height x width",
            fix="turn it with mean.transpose(2, 0, 1), its channels in the input's order",
        )
    if not 2 <= mean.ndim <= 4 or (mean.ndim == 4 and mean.shape[0] != 1):
        raise ShapeError(f"{named}: a mean of {mean.shape}, wants one image, or a value a channel")
    image = np.asarray(mean, np.float32)
    return {"mean_image": image.reshape(image.shape[-3:] if image.ndim > 2 else (1, *image.shape))}


def _numpy_array(path: Path) -> np.ndarray:
    try:
        loaded = np.load(path, allow_pickle=False)
    except (ValueError, EOFError):
        raise FormatError(f"{path}: no .npy file, or a damaged one") from None
    return numbers(np.asarray(loaded), path)


def numbers(array: np.ndarray, place: Path | str) -> np.ndarray:
    """Return a file's array; FormatError for one that holds no real numbers."""
    if array.dtype.kind not in "fiub":
        raise FormatError(f"{place}: an array of {array.dtype}, wants numbers")
    return array
