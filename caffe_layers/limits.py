"""What stops a layer's code, as errors: memory, numbers beyond bounds, files, one's own slips."""

from __future__ import annotations

import re
import traceback
from types import TracebackType

from prototxt.errors import CaffeError, FormatError, ShapeError, UnsupportedError, headline

from .memory import FIX, is_lack_of_memory

_OURS = ("caffe_layers.", "converter.")
_FIELD = re.compile(r"[a-z0-9_]+")
"""What protobuf says of a field that a message lacks; Python says more of other attributes."""
_BEYOND = (
    "cannot convert float NaN",
    "Overflow when unpacking",
    "overflow",
    "too large to convert",
    "math domain error",
    "out of range",
)
"""What Python, NumPy and torch say of a number that does not fit, each in its own exception."""


class running:  # noqa: N801  # used as a function, as `within` is
    """Turn what stops a layer class's code in the `with` block into CaffeErrors.

    UnsupportedError where memory does not hold it, or the message is of a dialect that lacks a
    field, ShapeError where its numbers lead beyond what can be computed, FormatError for a file
    that cannot be read. Of code that is not this package's, a user's own, every exception becomes
    an UnsupportedError with the file and the line of it: that it is wrong is nothing that a caller
    of the network could know.
    """

    __slots__ = ("cls",)

    def __init__(self, cls: type) -> None:
        self.cls = cls

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if not isinstance(error, Exception) or isinstance(error, CaffeError):
            return
        if is_lack_of_memory(error):
            raise UnsupportedError("memory does not hold what it computes", fix=FIX) from None
        if is_own(self.cls):
            raise UnsupportedError(slip(error)) from error
        if isinstance(error, OSError):
            named = f"{error.filename}: " if error.filename else ""
            raise FormatError(f"{named}{error.strerror or error}") from None
        if isinstance(error, AttributeError) and _FIELD.fullmatch(str(error)):
            problem = f"its message here has no {error}, which {self.cls.__name__} reads"
            fork = getattr(self.cls, "fork", "bvlc")
            raise UnsupportedError(problem, fix=f"--dialect {fork} reads the file so") from error
        if isinstance(error, ArithmeticError) or any(said in str(error) for said in _BEYOND):
            beyond = "its numbers lead beyond what can be computed"
            raise ShapeError(f"{beyond}: {headline(error)}") from error


def is_own(cls: type) -> bool:
    """Tell whether a class is a user's, not one that is shipped here."""
    return not cls.__module__.startswith(_OURS)


def slip(error: Exception) -> str:
    """Say what went wrong in somebody's own code, and where."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    said = headline(error)
    what = type(error).__name__ + (f": {said}" if said else "")
    return f"{what} (line {last.lineno} of {last.filename})"
