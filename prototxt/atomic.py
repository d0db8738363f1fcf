"""Write files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO


@contextmanager
def writing(path: str | Path) -> Iterator[BinaryIO]:
    """Open a binary file for writing; it takes its name when the block ends without an error.

    Until then the bytes are in a file beside it. After an error, a full disk included, nothing is
    left behind and a file that was there before is untouched; an OSError names `path`.
    """
    with replacing(path) as part, open(part, "wb") as file:
        yield file


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give the path of a file to write instead, which replaces `path` when the block ends well.

    For writers that open their file themselves; errors as in `writing`.
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():  # a device or a pipe: there is nothing to replace
        yield target
        return
    part = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        yield part
        os.replace(part, target)
    except BaseException as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.filename in (None, part, str(part)):
            error.filename, error.filename2 = str(path), None
        raise
