"""LMDB databases of records, as Caffe's tools write them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from prototxt.atomic import filling
from prototxt.errors import FormatError, within
from prototxt.optional import optional

from .database import Database as _Database
from .database import Entry

MAP_SIZE = 1 << 40  # the most that one may grow to; the file only takes what it holds


class Database(_Database):
    """The records of an LMDB in the order of their keys: `database[index]` is a key and its bytes.

    A lock.mdb beside the database's file is not needed and not touched.
    """

    FILE = "data.mdb"
    _opened: _Environment | None

    def count(self) -> int:
        return self._environment().count()

    def records(self) -> Iterator[Entry]:
        lmdb = _lmdb()
        try:
            yield from self._environment().handle().begin(buffers=True).cursor().iternext()
        except lmdb.Error as error:
            raise FormatError(str(error)) from None

    def _environment(self) -> _Environment:
        if self._opened is None:
            self._opened = _environment(self.path)
        return self._opened

    def _forget(self) -> None:
        super()._forget()
        self._opened = None


class _Environment:
    """An open database. A process may open one only once, so that its readers share it."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.process = os.getpid()
        self.opened = _open(path)

    def handle(self) -> Any:
        """Return lmdb's environment: in a forked process one of its own."""
        if self.process != os.getpid():
            self.opened.close()
            self.opened, self.process = _open(self.path), os.getpid()
        return self.opened

    def count(self) -> int:
        return int(self.handle().stat()["entries"])

    def __del__(self) -> None:
        if hasattr(self, "opened"):
            self.opened.close()


_environments: WeakValueDictionary[str, _Environment] = WeakValueDictionary()


def _environment(path: str) -> _Environment:
    real = os.path.realpath(path)
    shared = _environments.get(real)
    if shared is None:
        shared = _environments[real] = _Environment(path)
    return shared


def _open(path: str) -> Any:
    lmdb = _lmdb()
    file = Database.FILE
    try:
        size = os.stat(Path(path, file)).st_size
    except OSError as error:
        raise FormatError(f"no LMDB: its {file} cannot be read: {error.strerror}") from None
    try:
        opened = lmdb.open(path, readonly=True, lock=False, create=False)
    except lmdb.Error as error:
        raise FormatError(f"no LMDB that can be read: {error}") from None
    pages = opened.info()["last_pgno"] + 1
    # Reading past the end of a file that is cut off would kill the process.
    if size < (wants := pages * opened.stat()["psize"]):
        opened.close()
        raise FormatError(f"{file} has {size} bytes, wants {wants}: it is cut off")
    return opened


def write_database(path: str | Path, records: Iterable[tuple[bytes, bytes]]) -> None:
    """Write an LMDB with these keys and values into a folder, whole or not at all.

    Raises FormatError for a key that is not after the one before it.
    """
    lmdb = _lmdb()
    with filling(path) as folder, within(str(path)):
        with lmdb.open(str(folder), map_size=MAP_SIZE) as opened, opened.begin(write=True) as all_:
            for key, value in records:
                if not all_.put(key, value, append=True):
                    raise FormatError(f"key {key!r} is not after the one before it")
        # Without its lock the database can be read from a folder that is read-only.
        (folder / "lock.mdb").unlink(missing_ok=True)


def _lmdb() -> Any:
    return optional("lmdb", "lmdb", "reading an LMDB needs")
