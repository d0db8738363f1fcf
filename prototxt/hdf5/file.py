"""Opening HDF5 files by h5py, an optional part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prototxt.atomic import replacing
from prototxt.errors import FormatError, within
from prototxt.optional import optional


def h5py_for(path: str | Path, who: str = "HDF5 weights need") -> Any:
    """Return h5py; a UsageError that names the file where it is not installed."""
    return optional("h5py", "hdf5", f"{path}: {who}")


@contextmanager
def reading(path: str | Path, h5py: Any, damaged: str = "a damaged HDF5 file") -> Iterator[Any]:
    """Open a file to read; every error inside names it, and FormatError those of HDF5."""
    with within(str(path)):
        try:
            with h5py.File(path, "r") as file:
                yield file
        except (OSError, RuntimeError, KeyError) as error:
            raise FormatError(f"{damaged}: {error}") from None


@contextmanager
def writing(path: str | Path, h5py: Any) -> Iterator[Any]:
    """Open a file to write, which appears whole or not at all."""
    with replacing(path) as part, h5py.File(part, "w") as file:
        yield file
