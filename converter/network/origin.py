"""The files that a network came from, and what tells them from others."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from converter.progress import progress


@dataclass(frozen=True)
class FileInfo:
    """A file that was read or written."""

    path: str
    size: int
    sha256: str

    @classmethod
    def of(cls, path: str | PathLike[str], *, quiet: bool = True) -> FileInfo:
        """Measure and hash a file."""
        path = Path(path)
        digest = hashlib.sha256()
        size = path.stat().st_size
        with (
            path.open("rb") as file,
            progress(f"hash {path.name}", size, quiet=quiet, unit="B") as bar,
        ):
            while chunk := file.read(1 << 22):
                digest.update(chunk)
                bar.update(len(chunk))
        return cls(str(path), size, digest.hexdigest())


class Source:
    """A file that a network was loaded from; it is hashed when that is first asked for."""

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        self._state = self._look()
        self._info: FileInfo | None = None

    def info(self, *, quiet: bool = True) -> FileInfo | None:
        """Return the file's size and hash; None if it is no more what was loaded."""
        if self._info is None and self._look() == self._state:
            self._info = FileInfo.of(self.path, quiet=quiet)
        return self._info

    def _look(self) -> tuple[int, ...]:
        try:
            state = self.path.stat()
        except FileNotFoundError:
            return ()
        return state.st_ino, state.st_size, state.st_mtime_ns


def metadata(sources: Sequence[Source], version: str) -> dict[str, str]:
    """Return what an exported model says of its origin: our version, files' names and hashes."""
    said = {"caffeport.version": version}
    for index, source in enumerate(sources):
        key = "caffe.net" if index == 0 else f"caffe.weights{index if index > 1 else ''}"
        info = source.info()
        said[key] = source.path.name
        said[f"{key}.sha256"] = info.sha256 if info else "the file has changed since it was loaded"
    return said
