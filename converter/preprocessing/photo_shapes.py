"""Inputs from files: arrays, archives of arrays; images are `photos`."""

from __future__ import annotations

import zlib
from os import PathLike
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from prototxt.errors import CaffeError, FormatError

ARRAYS = {".npy", ".npz"}


def is_image(path: str | PathLike[str]) -> bool:
    """Tell whether an input's file is taken for an image: it is no file of arrays."""
    return Path(path).suffix not in ARRAYS


def read_input(name: str, path: Path) -> np.ndarray:
    """Return one input's array from a file of arrays.

    A `.npz` gives its array of the input's name, or its only one. Raises FormatError for what is no
    such file.
    """
    if not path.is_file():
        raise CaffeError(f"{path}: no such file")
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
