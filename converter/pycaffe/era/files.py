"""Python 2's files, whose text is whatever bytes they hold."""

from __future__ import annotations

import builtins
import io
from collections.abc import Callable
from typing import Any, TypedDict

from typing_extensions import Unpack

ENCODING, ERRORS = "utf-8", "surrogateescape"
"""Bytes that are no text survive as text that becomes the same bytes again."""


class File(io.TextIOWrapper):
    """A file that takes text and bytes alike, and changes no line's end."""

    def write(self, given: Any) -> int:
        """Write text or bytes."""
        if isinstance(given, str):
            return super().write(given)
        self.flush()
        written: Any = self.buffer.write(given)
        return int(written)


class OpenOptions(TypedDict, total=False):
    """What `open` is told beside the file and the mode."""

    buffering: int
    encoding: str | None
    errors: str | None
    newline: str | None
    closefd: bool
    opener: Callable[[str, int], int] | None


def opened(file: Any, mode: str = "r", *args: Any, **others: Unpack[OpenOptions]) -> Any:
    """Open a file as Python 2 did: of one that is opened as text any bytes are read and written."""
    kept = mode.replace("U", "")
    if "b" in mode or others or len(args) > 1:
        return builtins.open(file, kept, *args, **others)
    binary: Any = builtins.open(file, f"{kept or 'r'}b", *args)  # noqa: SIM115  # the script closes it
    return File(binary, ENCODING, ERRORS, newline=None if "U" in mode else "\n")
