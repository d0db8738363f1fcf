"""Inputs from files: arrays, archives of arrays, images."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from prototxt.errors import CaffeError, FormatError
from prototxt.images import read_image

ARRAYS = {".npy", ".npz"}


def read_inputs(files: Iterable[tuple[str, str]]) -> dict[str, np.ndarray]:
    """Return `{input: array}` of `(input, file)` pairs.

    A `.npz` gives its array of the input's name, or its only one. An image gives 1 x 3 x H x W
    in Caffe's order: channels B, G, R with values 0 to 255. Raises FormatError for other files.
    """
    return {name: read_input(name, Path(path)) for name, path in files}


def is_image(path: str | PathLike[str]) -> bool:
    """Tell whether an input's file is taken for an image: it is no file of arrays."""
    return Path(path).suffix not in ARRAYS


def read_input(name: str, path: Path) -> np.ndarray:
    """Return one input's array."""
    if not path.is_file():
        raise CaffeError(f"{path}: no such file")
    if is_image(path):
        pixels = read_image(path).astype(np.float32)
        return np.ascontiguousarray(pixels.transpose(2, 0, 1)[None])
    try:
        loaded: Any = np.load(path, allow_pickle=False)
        if path.suffix == ".npy":
            return np.asarray(loaded)
        with loaded as archive:
            if name in archive:
                return np.asarray(archive[name])
            if len(archive.files) == 1:
                return np.asarray(archive[archive.files[0]])
            held = ", ".join(archive.files)
    except (ValueError, TypeError, EOFError, OSError, KeyError, BadZipFile, zlib.error):
        raise FormatError(f"{path}: no {path.suffix} file, or a damaged one") from None
    raise FormatError(f"{path}: no array {name!r} among {held}")
