"""Packages that only some files need: they come with an extra of caffeport."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from .errors import UsageError

INSTALLED_AS = {"PIL": "Pillow"}
"""What is installed under another name than it is imported by."""


def optional(module: str, extra: str, need: str) -> Any:
    """Return a module; where it is not installed, UsageError says so: `need` and the package.

    `need` reads as "reading images needs", `extra` brings the package.
    """
    package = module.partition(".")[0]
    try:
        import_module(package)
        return import_module(module)
    except ImportError:
        raise UsageError(
            f"{need} {INSTALLED_AS.get(package, package)}", fix=installing(extra)
        ) from None


def installing(extra: str) -> str:
    """Return the command that installs an extra."""
    return f'pip install "caffeport[{extra}]"'
