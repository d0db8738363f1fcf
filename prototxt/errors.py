"""What can be wrong with Caffe files, and where."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager


class CaffeError(ValueError):
    """The Caffe files are wrong, or ask for something this project lacks.

    The text reads `place: what it got, what it wants`, with `fix: ...` on a line of its own where
    a remedy is known. Low-level code states the fact; callers add places with `within`.
    """

    def __init__(self, message: str, *, fix: str = "") -> None:
        super().__init__(message)
        self.path: list[str] = []
        self.fix = fix

    def __str__(self) -> str:
        text = ": ".join([*self.path, super().__str__()])
        return f"{text}\n  fix: {self.fix}" if self.fix else text


class FormatError(CaffeError):
    """The bytes or the text are no Caffe file, or a damaged one."""


class UnsupportedError(CaffeError):
    """The file is valid Caffe, but asks for something that is not here."""


class ShapeError(CaffeError):
    """Blobs do not fit together: a wrong shape, a missing bottom, a top produced twice."""


class WeightError(CaffeError):
    """Weights do not fit their network: a wrong count, a wrong shape, a missing layer."""


class UsageError(CaffeError):
    """What was asked for cannot be: a wrong option, no such file, a part that is not installed."""


class NoFileError(UsageError, FileNotFoundError):
    """A file that was named is not there."""


class UnreadableFileError(UsageError, OSError):
    """A file that was named cannot be read: a folder, or not permitted."""


def unreadable(path: object, error: OSError) -> UsageError:
    """Return what to raise where the system refuses a file that the caller named."""
    kind = NoFileError if isinstance(error, FileNotFoundError) else UnreadableFileError
    refused = kind(f"{path}: {error.strerror or error}")
    refused.strerror = error.strerror  # an errno beside it would change the message
    return refused


def headline(error: BaseException) -> str:
    """Return the first line of what an error says."""
    return str(error).partition("\n")[0]


def within(place: str) -> _Within:
    """Put `place` in front of every CaffeError raised inside the `with` block."""
    return _Within(place)


class _Within:
    """A context manager of its own: contextlib's takes three times as long, for every record."""

    __slots__ = ("place",)

    def __init__(self, place: str) -> None:
        self.place = place

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, CaffeError):
            error.path.insert(0, self.place)


@contextmanager
def advising(advice: Callable[[CaffeError], str]) -> Iterator[None]:
    """Let every CaffeError raised inside suggest as its fix what `advice` says, if anything."""
    try:
        yield
    except CaffeError as error:
        error.fix = advice(error) or error.fix
        raise
