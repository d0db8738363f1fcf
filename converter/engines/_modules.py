"""Which modules are not installed, told without importing them."""

from __future__ import annotations

from importlib.util import find_spec


def missing(*names: str) -> list[str]:
    """Return those of these modules that cannot be found."""
    return [name for name in names if not _found(name)]


def _found(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # the package that it would lie in is not there
        return False
