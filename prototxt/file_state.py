"""A file as it was when it was opened: its bytes, their form, and what tells it from later ones."""

from __future__ import annotations

import hashlib
import mmap
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal

from .errors import unreadable

Form = Literal["text", "binary", "hdf5", "safetensors"]

_HDF5 = b"\x89HDF\r\n\x1a\n"
_SAFETENSORS = re.compile(rb".{4}\x00{4}\{\s*[\"}]", re.DOTALL)
"""The size of a header in JSON, and its beginning."""
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")  # every binary network has some, no text has


@dataclass(frozen=True)
class FileState:
    """Which file was read, what form its bytes had, and what shows that it has changed since.

    `sha256` is the hash of a text, which is in memory anyway; of large files it is "".
    """

    path: Path
    form: Form
    mark: tuple[int, ...]
    size: int
    sha256: str = ""

    @property
    def is_current(self) -> bool:
        """Tell whether the file is still what was read."""
        try:
            return _mark(self.path.stat()) == self.mark
        except FileNotFoundError:
            return False


def open_file(path: str | Path, *, private: bool = False) -> tuple[FileState, memoryview]:
    """Open a file once: return its state and its bytes, mapped. UsageError where it cannot be.

    Those of a `private` map may be written to, and the file stays as it is.
    """
    try:
        with open(path, "rb") as file:
            state = os.fstat(file.fileno())
            data = mapped(file, private=private)
    except OSError as error:
        raise unreadable(path, error) from None
    form = _form(data)
    sha256 = hashlib.sha256(data).hexdigest() if form == "text" else ""
    return FileState(Path(path), form, _mark(state), state.st_size, sha256), data


def mapped(file: BinaryIO, *, private: bool = False) -> memoryview:
    """Map an open file's bytes; none of an empty file."""
    if not file.seek(0, 2):
        return memoryview(b"")
    access = mmap.ACCESS_COPY if private else mmap.ACCESS_READ
    return memoryview(mmap.mmap(file.fileno(), 0, access=access))


def _form(data: memoryview) -> Form:
    """Tell by its bytes what form a file has."""
    if data[: len(_HDF5)] == _HDF5:
        return "hdf5"
    if _SAFETENSORS.match(data):
        return "safetensors"
    return "binary" if _CONTROL.search(data) else "text"


def _mark(state: os.stat_result) -> tuple[int, ...]:
    return state.st_ino, state.st_size, state.st_mtime_ns
