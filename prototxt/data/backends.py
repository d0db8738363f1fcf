"""The databases that Caffe's tools write: which one a folder holds."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from . import leveldb, lmdb
from .database import Database

BACKENDS: dict[str, type[Database]] = {"LEVELDB": leveldb.Database, "LMDB": lmdb.Database}
"""By the names of `backend`'s values."""


def backend_of(folder: str | PathLike[str]) -> str | None:
    """Return which database lies in a folder by its files, or None."""
    for name, kind in BACKENDS.items():
        if Path(folder, kind.FILE).is_file():
            return name
    return None
