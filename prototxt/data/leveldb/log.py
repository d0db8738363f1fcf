"""LevelDB's log files: its journal of writes, and the manifest, are records in pieces.

Format: google/leveldb at 78a352f, doc/log_format.md, db/log_reader.cc, db/write_batch.cc
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from prototxt.binary.wire import varint
from prototxt.data.database import Bytes
from prototxt.errors import FormatError
from prototxt.file_state import mapped

BLOCK = 1 << 15  # a piece lies within one block
HEADER = 7  # of a piece: checksum 4, length 2, kind 1
ZERO, FULL, FIRST, MIDDLE, LAST = range(5)
"""Kinds of pieces. ZERO is what files hold that were given their size before they were filled."""

DELETED, LIVE = range(2)
"""What a record does: it takes its key away, or gives it a value."""


class Write(NamedTuple):
    """What a key was given, by the write of a number; None where it was taken away."""

    key: bytes
    number: int
    value: Bytes | None


class Record:
    """One record of a log, which lies there in pieces: `bytes(a, b)` are its bytes a to b."""

    def __init__(self, pieces: list[memoryview]) -> None:
        self.pieces = pieces
        self.starts = [0, *accumulate(map(len, pieces))]

    def __len__(self) -> int:
        return self.starts[-1]

    def bytes(self, start: int, stop: int) -> bytes:
        """Return a stretch of the record."""
        first = bisect_right(self.starts, start) - 1
        last = bisect_right(self.starts, stop - 1)
        return b"".join(
            piece[max(0, start - begin) : stop - begin]
            for piece, begin in zip(self.pieces[first:last], self.starts[first:last], strict=True)
        )


class Stretch(NamedTuple):
    """A part of a record, whose bytes are fetched where they are asked for."""

    record: Record
    start: int
    stop: int

    def __bytes__(self) -> bytes:
        return self.record.bytes(self.start, self.stop)


def read_log(path: Path) -> Iterator[Record]:
    """Yield the records of a log in the order in which they were written.

    A record that the end of the file cuts off was never written whole, so that LevelDB passes it
    over, and so does this. Raises FormatError for pieces that do not follow each other. Checksums
    are not looked at, as Caffe does not look at those of tables.
    """
    with open(path, "rb") as file:
        data = mapped(file)
    pieces: list[memoryview] = []
    for at, kind, piece in _pieces(data):
        if kind not in (FULL, FIRST, MIDDLE, LAST) or (kind in (MIDDLE, LAST)) != bool(pieces):
            raise FormatError(f"{path.name}: byte {at}: a damaged record")
        pieces.append(piece)
        if kind in (FULL, LAST):
            yield Record(pieces)
            pieces = []


def _pieces(data: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Yield where each piece lies, its kind and its bytes."""
    at = 0
    while at + HEADER <= len(data):
        left = BLOCK - at % BLOCK
        if left < HEADER:
            at += left
            continue
        size, kind = int.from_bytes(data[at + 4 : at + 6], "little"), data[at + 6]
        if kind == ZERO and not size:
            at += left
            continue
        stop = at + HEADER + size
        if stop > len(data):
            return
        if HEADER + size > left:
            raise FormatError(f"byte {at}: a damaged record")
        yield at, kind, data[at + HEADER : stop]
        at = stop


def writes(record: Record) -> Iterator[Write]:
    """Yield the writes of one record of a journal, in their order."""
    data = memoryview(record.bytes(0, len(record)))
    if len(data) < 12:
        raise FormatError(f"a batch of {len(data)} bytes, wants 12 or more")
    number = int.from_bytes(data[:8], "little")
    after = number + int.from_bytes(data[8:12], "little")
    at = 12
    while at < len(data):
        kind = data[at]
        if kind not in (DELETED, LIVE):
            raise FormatError(f"a write of kind {kind}, wants {DELETED} or {LIVE}")
        start, at = stretch(data, at + 1)
        key, value = bytes(data[start:at]), None
        if kind == LIVE:
            start, at = stretch(data, at)
            value = Stretch(record, start, at)
        yield Write(key, number, value)
        number += 1
    if number != after:
        raise FormatError(f"a batch of {number - after} writes more than it says")


def stretch(data: memoryview, at: int) -> tuple[int, int]:
    """Return where bytes with their size in front of them begin and end."""
    size, start = varint(data, at, len(data))
    if start + size > len(data):
        raise FormatError(f"byte {at}: {size} bytes, {len(data) - start} are left")
    return start, start + size
