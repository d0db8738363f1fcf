"""What goes wrong in a script's Caffe, as RuntimeErrors: the process goes on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from prototxt.errors import CaffeError


class CaffeAbortError(RuntimeError):
    """What Caffe itself would abort the process for."""


@contextmanager
def aborting() -> Iterator[None]:
    """Raise what goes wrong in Caffe's files inside as a CaffeAbortError."""
    try:
        yield
    except CaffeError as error:
        raise CaffeAbortError(str(error)) from error


def lacking(owner: str, name: str, instead: Mapping[str, str]) -> str:
    """Return what the AttributeError of a member says that is not here."""
    hint = instead.get(name)
    return f"{owner} has no attribute {name!r}" + (f": {hint}" if hint else "")


def readable(path: str | PathLike[str]) -> str:
    """Return a file's name; RuntimeError where there is none, in pycaffe's words."""
    name = fspath(path)
    if not Path(name).is_file():
        raise RuntimeError(f"Could not open file {name}")
    return name


class ArgumentError(TypeError):
    """Arguments that no form of a function takes, called as Boost.Python calls it."""

    @classmethod
    def of(cls, name: str, args: Any, others: Any) -> ArgumentError:
        """Return the error of one call."""
        given = [type(arg).__name__ for arg in args] + [f"{key}=..." for key in others]
        return cls(
            f"Python argument types in\n    {name}({', '.join(given)})\ndid not match "
            f"Net(network_file, phase, level=0, stages=None, weights=None) or "
            f"Net(network_file, weights, phase)"
        )
