"""LMDB databases of records, as Caffe's tools write them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from weakref import WeakValueDictionary

from prototxt.atomic import filling
from prototxt.errors import FormatError, within
from prototxt.optional import optional

FILE = "data.mdb"  # in the database's folder; a lock.mdb may stand beside it
MAP_SIZE = 1 << 40  # the most that one may grow to; the file only takes what it holds


class Database:
    """The records of an LMDB in the order of their keys: `database[index]` is a key and its bytes.

    Reading them in order is fast; an earlier index starts again at the first record. It may be
    copied, pickled and used after a fork: each copy has its own place.

    Raises FormatError where the database is missing or damaged.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._process, self._at = os.getpid(), 0
        self._cursor: Any = None
        self._opened: _Environment | None = None
        with within(self.path):
            self._count = self._environment().count()
            if not self._count:
                raise FormatError("the database holds no record")

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[str, bytes]:
        if not 0 <= index < self._count:
            raise IndexError(index)
        with within(self.path):
            lmdb = _lmdb()
            try:
                return self._read(index)
            except lmdb.Error as error:
                raise FormatError(f"record {index} cannot be read: {error}") from None

    def _read(self, index: int) -> tuple[str, bytes]:
        if self._process != os.getpid():
            self._forget()  # a forked process must not touch what its parent opened
        if self._cursor is None or index < self._at:
            if self._cursor is None:
                self._cursor = self._environment().handle().begin().cursor()
            found, self._at = self._cursor.first(), 0
        else:
            found = True
        while found and self._at < index:
            found, self._at = self._cursor.next(), self._at + 1
        if not found:
            raise FormatError(f"the database ends before record {index} of {self._count}")
        key, value = self._cursor.item()
        return bytes(key).decode("utf-8", "backslashreplace"), bytes(value)

    def _environment(self) -> _Environment:
        if self._opened is None:
            self._opened = _environment(self.path)
        return self._opened

    def _forget(self) -> None:
        self._process, self._at = os.getpid(), 0
        self._cursor = self._opened = None

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_count": self._count}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()


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
    try:
        size = os.stat(Path(path, FILE)).st_size
    except OSError as error:
        raise FormatError(f"no LMDB: its {FILE} cannot be read: {error.strerror}") from None
    try:
        opened = lmdb.open(path, readonly=True, lock=False, create=False)
    except lmdb.Error as error:
        raise FormatError(f"no LMDB that can be read: {error}") from None
    pages = opened.info()["last_pgno"] + 1
    # Reading past the end of a file that is cut off would kill the process.
    if size < (wants := pages * opened.stat()["psize"]):
        opened.close()
        raise FormatError(f"{FILE} has {size} bytes, wants {wants}: it is cut off")
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
