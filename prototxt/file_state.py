"""A file as it was when it was read."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Form = Literal["text", "binary", "hdf5"]


@dataclass(frozen=True)
class FileState:
    """Which file was read, what form its bytes had, and what shows that it has changed since."""

    path: Path
    form: Form
    mark: tuple[int, ...]

    @classmethod
    def of(cls, path: str | Path, form: Form) -> FileState:
        """Return a file's state now."""
        return cls(Path(path), form, _mark(Path(path)))

    @property
    def is_current(self) -> bool:
        """Tell whether the file is still what was read."""
        return _mark(self.path) == self.mark


def _mark(path: Path) -> tuple[int, ...]:
    try:
        state = path.stat()
    except FileNotFoundError:
        return ()
    return state.st_ino, state.st_size, state.st_mtime_ns
