"""Engines that run ONNX files: one file an engine, each found by itself.

A runner imports numpy and its engine alone, and these when it is asked: so it also runs in an
environment that has them, lazy_loader and nothing else of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from os import PathLike
from pkgutil import iter_modules
from typing import Protocol

import numpy as np

from converter.errors import UsageError

Arrays = Mapping[str, np.ndarray]


class Engine(Protocol):
    """A module of this package: its engine's name is the module's."""

    INSTALL: str
    """The command that installs what it lacks."""

    def lacks(self) -> list[str]:
        """Return what it needs and what is not installed."""

    def version(self) -> str:
        """Return the version of what runs, with that of what reads ONNX for it."""

    def run(self, path: str | PathLike[str], feeds: Arrays) -> dict[str, np.ndarray]:
        """Return the outputs of an ONNX file by their names there.

        `feeds` are the inputs by name; what the engine raises is not caught.
        """


ENGINES: tuple[str, ...] = tuple(
    module.name for module in iter_modules(__path__) if not module.name.startswith("_")
)


def get_engine(name: str) -> Engine:
    """Return an engine by its name; raises UsageError for one that is not there."""
    if name not in ENGINES:
        raise UsageError(f"engine {name!r} is unknown", fix=f"known: {', '.join(ENGINES)}")
    module: Engine = import_module(f"{__name__}.{name}")
    return module


def installed(name: str) -> Engine:
    """Return an engine that can run; raises UsageError for one that is not installed."""
    engine = get_engine(name)
    if missing := engine.lacks():
        raise UsageError(
            f"engine {name} is not installed: there is no {', '.join(missing)}",
            fix=engine.INSTALL,
        )
    return engine
