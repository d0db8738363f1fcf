"""Databases of records, walked in the order of their keys."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, SupportsBytes

from prototxt.errors import FormatError, within

Bytes = bytes | SupportsBytes | memoryview
"""Bytes that are fetched where they are asked for."""

Entry = tuple[Bytes, Bytes]
"""A key and its value."""


class Database(ABC):
    """The records of a database in the order of keys: `database[index]` is a key and its bytes.

    Reading them in order is fast; an earlier index starts again at the first record. It may be
    copied, pickled and used after a fork: each copy has its own place.

    Raises FormatError where the database is missing or damaged, or holds no record.
    """

    FILE: ClassVar[str]
    """The file by which a folder is known to be such a database."""

    _process: int
    _at: int
    """Which record is the current one, -1 for none."""
    _entry: Entry
    _walk: Iterator[Entry] | None

    def __init__(self, path: str | Path) -> None:
        self.path = str(path)
        self._forget()
        with within(self.path):
            self._count = self.count()
            if not (self._move_to(0) if self._count is None else self._count):
                raise FormatError("the database holds no record")

    @abstractmethod
    def count(self) -> int | None:
        """Return how many records there are, or None where only walking over them tells."""

    @abstractmethod
    def records(self) -> Iterator[Entry]:
        """Yield all records; what one holds is asked for before the next is."""

    def __len__(self) -> int:
        with within(self.path):
            while self._count is None:
                self._step()
        return self._count

    def __getitem__(self, index: int) -> tuple[str, bytes]:
        if index < 0 or (self._count is not None and index >= self._count):
            raise IndexError(index)
        with within(self.path):
            known = self._count
            if self._move_to(index):
                key, value = self._entry
                return bytes(key).decode("utf-8", "backslashreplace"), bytes(value)
            if known is None:
                raise IndexError(index)
            raise FormatError(f"the database ends before record {index} of {known}")

    def at(self, position: int) -> tuple[str, bytes]:
        """Return the record at a position that counts on after the last: the first come again.

        Where the number of records is not known they are not counted for this.
        """
        if self._count is None:
            with within(self.path):
                self._move_to(position)
        return self[position if self._count is None else position % self._count]

    def _move_to(self, index: int) -> bool:
        """Make `index` the current record; False where there are fewer."""
        if self._process != os.getpid():
            self._forget()  # a forked process must not touch what its parent opened
        if index < self._at:
            self._walk = None
        while self._walk is None or self._at < index:
            if not self._step():
                return False
        return True

    def _step(self) -> bool:
        """Go to the next record; False after the last, where counting has come to its end."""
        if self._walk is None:
            self._walk, self._at = self.records(), -1
        try:
            with within(f"record {self._at + 1} cannot be read"):
                self._entry = next(self._walk)
        except StopIteration:
            if self._count is None:
                self._count = self._at + 1
            self._walk = None
            return False
        except FormatError:
            self._walk = None
            raise
        self._at += 1
        return True

    def _forget(self) -> None:
        """Begin anew, without what was opened."""
        self._process, self._at = os.getpid(), -1
        self._entry, self._walk = (b"", b""), None

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "_count": self._count}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._forget()
