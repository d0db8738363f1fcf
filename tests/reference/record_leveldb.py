"""Record LevelDB databases as LevelDB itself writes them, into `leveldb.tar.xz`.

`python tests/reference/record_leveldb.py` wants plyvel (recorded with 1.5.1, LevelDB 1.22). What
the databases were given is `records`, and what they hold then `contents`. LevelDB compacts beside
the writer, so that each recording has other files.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from prototxt.data.datum import write_datum

NAMES = ("journal", "pieces", "levels", "plain", "empty", "images")
SMALL = 1 << 14
"""Bytes of a table, and of the journal before it becomes one, so that there are many of both."""

_PIXELS = np.random.default_rng(1701).integers(0, 256, (5, 3, 6, 8))
IMAGES = tuple(enumerate(_PIXELS.astype(np.uint8)))


def value(name: str, number: int) -> bytes:
    """Return a record's bytes: some that compress, some that do not, some longer than a block."""
    if name == "pieces":
        return np.random.default_rng(number).bytes(9_000 * number)
    return b"%s %d " % (name.encode(), number) * (number % 60)


def records(name: str) -> Iterator[tuple[bytes, bytes | None]]:
    """Yield the writes of a database; None takes a key away."""
    if name == "empty":
        yield from ((b"a", b"1"), (b"a", None))
    elif name == "pieces":
        yield from ((b"%02d" % number, value(name, number)) for number in range(7))
    elif name == "images":
        yield from ((b"%08d" % label, write_datum(image, label)) for label, image in IMAGES)
    elif name == "journal":
        yield from ((b"%08d_a.jpg" % number, value(name, number)) for number in range(40))
    else:
        for number in np.random.default_rng(1701).permutation(1500).tolist():
            yield b"%05d" % number, value(name, number)
        for number in range(0, 1500, 7):
            yield b"%05d" % number, value(name, number + 1)
        yield from ((b"%05d" % number, None) for number in range(0, 1500, 5))


def contents(name: str) -> dict[bytes, bytes]:
    """Return what a database holds after all writes, in the order of the keys."""
    held: dict[bytes, bytes] = {}
    for key, written in records(name):
        if written is None:
            held.pop(key, None)
        else:
            held[key] = written
    return dict(sorted(held.items()))


def main() -> None:
    import plyvel
    from pack import pack

    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            many = name in ("levels", "plain")
            sizes = {"write_buffer_size": SMALL, "max_file_size": SMALL} if many else {}
            compression = None if name == "plain" else "snappy"
            path = str(Path(folder, name))
            database = plyvel.DB(path, create_if_missing=True, compression=compression, **sizes)
            with database.write_batch() as batch:  # as Caffe's tools do
                for index, (key, written) in enumerate(records(name)):
                    if many and index % 50 == 0:
                        batch.write()
                        batch.clear()
                    if name == "pieces" and index == 6:  # the others become a table
                        batch.write()
                        batch.clear()
                        database.compact_range()
                    if written is None:
                        batch.delete(key)
                    else:
                        batch.put(key, written)
            database.close()
            Path(path, "LOCK").unlink()
            Path(path, "LOG").unlink()
        pack(Path(folder), Path(__file__).with_name("leveldb.tar.xz"))


if __name__ == "__main__":
    main()
