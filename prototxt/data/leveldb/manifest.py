"""A LevelDB's manifest: which of the files in its folder are the database.

Format: google/leveldb at 78a352f, doc/impl.md, db/version_edit.cc
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from prototxt.binary.wire import varint
from prototxt.errors import FormatError, within

from .log import read_log, stretch

CURRENT = "CURRENT"  # names the manifest
ORDER = b"leveldb.BytewiseComparator"
(
    COMPARATOR,
    LOG,
    NEXT_FILE,
    LAST_NUMBER,
    COMPACTED,
    DELETED_FILE,
    NEW_FILE,
    _,
    PREVIOUS_LOG,
) = range(1, 10)
"""What an edit of the manifest may say."""


@dataclass
class Manifest:
    """The tables of a database by (level, number), with their smallest keys and sizes, and logs."""

    tables: dict[tuple[int, int], tuple[bytes, int]] = field(default_factory=dict)
    log: int = 0
    """The number of the oldest log whose writes are in no table yet."""
    previous_log: int = 0

    def edit(self, data: memoryview) -> None:
        """Change it as one record of the manifest's file says."""
        at, end = 0, len(data)
        while at < end:
            tag, at = varint(data, at, end)
            if tag == COMPARATOR:
                start, at = stretch(data, at)
                if data[start:at] != ORDER:
                    order = bytes(data[start:at]).decode("utf-8", "backslashreplace")
                    raise FormatError(f"keys in the order {order!r}, wants {ORDER.decode()!r}")
            elif tag in (LOG, PREVIOUS_LOG, NEXT_FILE, LAST_NUMBER):
                number, at = varint(data, at, end)
                if tag == LOG:
                    self.log = number
                elif tag == PREVIOUS_LOG:
                    self.previous_log = number
            elif tag == COMPACTED:
                _, at = varint(data, at, end)
                _, at = stretch(data, at)
            elif tag in (DELETED_FILE, NEW_FILE):
                level, at = varint(data, at, end)
                number, at = varint(data, at, end)
                if tag == DELETED_FILE:
                    self.tables.pop((level, number), None)
                    continue
                size, at = varint(data, at, end)
                start, stop = stretch(data, at)
                _, at = stretch(data, stop)
                self.tables[level, number] = bytes(data[start:stop])[:-8], size
            else:
                raise FormatError(f"byte {at}: an edit of kind {tag}, which LevelDB does not have")


def read_manifest(folder: Path) -> Manifest:
    """Return what a folder's manifest says. FormatError where there is none or a damaged one."""
    try:
        name = (folder / CURRENT).read_bytes().decode("ascii", "backslashreplace").strip()
        path = folder / name
        if path.parent != folder or not name.startswith("MANIFEST-"):
            raise FormatError(f"no LevelDB: its {CURRENT} says {name!r}, wants a manifest's name")
        manifest = Manifest()
        with within(name):
            for record in read_log(path):
                manifest.edit(memoryview(record.bytes(0, len(record))))
    except OSError as error:
        file = Path(error.filename or CURRENT).name
        raise FormatError(f"no LevelDB: its {file} cannot be read: {error.strerror}") from None
    return manifest
