"""LevelDB's tables: sorted records in blocks, and an index of the blocks.

Format: google/leveldb at 78a352f, doc/table_format.md, table/format.cc, table/block.cc
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from prototxt.binary.wire import varint
from prototxt.errors import FormatError, within
from prototxt.file_state import mapped
from prototxt.optional import optional

from .log import DELETED, LIVE, Write

FOOTER = 48  # where the index lies, filled up, and the eight bytes that mark a table
MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
TRAILER = 5  # of a block: how it is compressed 1, checksum 4
PLAIN, SNAPPY = range(2)


def read_table(path: Path) -> Iterator[Write]:
    """Yield the writes that a table holds, in the order of keys, the newest of a key first.

    A block is read when its first record is asked for, and of one that is not compressed only what
    is asked for. Checksums are not looked at, as Caffe does not. Raises FormatError for damage.
    """
    with open(path, "rb") as file:
        data = mapped(file)
    with within(path.name):
        if data[-8:] != MAGIC or len(data) < FOOTER:
            raise FormatError("it does not end as a table of LevelDB does", fix="is it cut off?")
        start = len(data) - FOOTER
        for _ in range(2):  # of the metaindex, which is not needed; then of the index
            _, start, handle = _handle(data, start)
        index = _block(data, *handle)
        for _, place in _entries(index):
            _, _, handle = _handle(place, 0)
            for key, value in _entries(_block(data, *handle)):
                if len(key) < 8 or (kind := key[-8]) not in (DELETED, LIVE):
                    raise FormatError(f"block at byte {handle[0]}: a damaged key")
                number = int.from_bytes(key[-7:], "little")
                yield Write(key[:-8], number, value if kind == LIVE else None)


def _handle(data: memoryview, at: int) -> tuple[int, int, tuple[int, int]]:
    """Return where a handle begins and ends, and the offset and size of the block it leads to."""
    offset, stop = varint(data, at, len(data))
    size, stop = varint(data, stop, len(data))
    return at, stop, (offset, size)


def _block(data: memoryview, offset: int, size: int) -> memoryview:
    """Return a block as it was before it was compressed."""
    with within(f"block at byte {offset}"):
        if offset + size + TRAILER > len(data):
            raise FormatError(f"it ends after byte {len(data)}")
        block, method = data[offset : offset + size], data[offset + size]
        if method == PLAIN:
            return block
        if method != SNAPPY:
            raise FormatError(f"compressed by method {method}, wants {PLAIN} or Snappy's {SNAPPY}")
        cramjam: Any = optional("cramjam", "leveldb", "reading a compressed LevelDB needs")
        try:
            return memoryview(cramjam.snappy.decompress_raw(block))
        except cramjam.DecompressionError as error:
            raise FormatError(f"it cannot be decompressed: {error}") from None


def _entries(block: memoryview) -> Iterator[tuple[bytes, memoryview]]:
    """Yield a block's keys and values; a key says how many bytes it shares with the one before."""
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    if end < 0:
        raise FormatError("a damaged block")
    key, at = b"", 0
    while at < end:
        shared, at = varint(block, at, end)
        own, at = varint(block, at, end)
        size, at = varint(block, at, end)
        stop = at + own + size
        if shared > len(key) or stop > end:
            raise FormatError("a damaged block")
        key = key[:shared] + bytes(block[at : at + own])
        yield key, block[at + own : stop]
        at = stop
