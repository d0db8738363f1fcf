"""LevelDB databases of records, as Caffe's older tools write them by default."""

from __future__ import annotations

from collections.abc import Iterator
from heapq import merge
from itertools import groupby
from pathlib import Path
from typing import Any

from prototxt.data.database import Database as _Database
from prototxt.data.database import Entry
from prototxt.errors import FormatError, within

from .log import Write, read_log, writes
from .manifest import CURRENT, Manifest, read_manifest
from .table import read_table


class Database(_Database):
    """The records of a LevelDB in the order of its keys: `database[index]` is a key and its bytes.

    LevelDB itself writes into a database's folder whenever it opens it, and lets one process at a
    time do so. This only reads: any number of processes may, of a folder that cannot be written.

    How many records there are is in no file: `len` walks over the keys of all.
    """

    FILE = CURRENT
    _logged: list[Write] | None
    """What is in no table yet."""

    def count(self) -> None:
        self._sources()  # what is missing is an error at once

    def records(self) -> Iterator[Entry]:
        last: bytes | None = None
        for write in merge(*self._sources(), key=_newest_first):
            if write.key != last and write.value is not None:
                yield write.key, write.value
            last = write.key

    def _sources(self) -> list[Iterator[Write]]:
        """Return walks in the order of keys over all that was written."""
        folder = Path(self.path)
        manifest = read_manifest(folder)
        tables = _tables(folder, manifest)
        if self._logged is None:
            self._logged = sorted(_logged(folder, manifest), key=_newest_first)
        found: list[Iterator[Write]] = [iter(self._logged)] if self._logged else []
        for level, paths in groupby(tables, key=lambda table: table[0]):
            if level == 0:  # tables of level 0 may overlap, those of another level do not
                found += [read_table(path) for _, path in paths]
            else:
                found.append(_one_by_one([path for _, path in paths]))
        return found

    def _forget(self) -> None:
        super()._forget()
        self._logged = None


def _newest_first(write: Write) -> Any:
    return write.key, -write.number


def _one_by_one(paths: list[Path]) -> Iterator[Write]:
    for path in paths:
        yield from read_table(path)


def _tables(folder: Path, manifest: Manifest) -> list[tuple[int, Path]]:
    """Return the levels and the files of a database's tables, in the order of their keys."""
    found = []
    for (level, number), (smallest, size) in manifest.tables.items():
        paths = [folder / f"{number:06d}.{suffix}" for suffix in ("ldb", "sst")]
        path = next((path for path in paths if path.is_file()), None)
        if path is None:
            raise FormatError(f"its table {paths[0].name} (or .sst) is missing")
        if (has := path.stat().st_size) != size:
            raise FormatError(f"{path.name} has {has} bytes, wants {size}: it is cut off")
        found.append((level, smallest, path))
    return [(level, path) for level, _, path in sorted(found)]


def _logged(folder: Path, manifest: Manifest) -> Iterator[Write]:
    """Yield the writes that are in no table yet."""
    for path in sorted(folder.glob("*.log")):
        number = int(path.stem) if path.stem.isdecimal() else 0
        if number >= manifest.log or number == manifest.previous_log:
            with within(path.name):
                for record in read_log(path):
                    yield from writes(record)
