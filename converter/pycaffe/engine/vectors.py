"""The lists that `_caffe` returns; Boost.Python's classes of them are of a metaclass `class`."""

from __future__ import annotations

from typing import Any, SupportsIndex


class _Class(type):
    """The metaclass of what `_caffe` exports."""


_Class.__name__ = _Class.__qualname__ = "class"


class Vector(list[Any], metaclass=_Class):
    """A list whose slices are of its own class."""

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        found = super().__getitem__(index)
        return type(self)(found) if isinstance(index, slice) else found


class RawBlobVec(Vector):
    """A layer's bottoms or tops."""


class LayerVec(Vector):
    """A network's layers."""


class NetVec(Vector):
    """A solver's test networks."""


class StringVec(Vector):
    """Names."""


class IntVec(Vector):
    """Sizes and places."""


class DtypeVec(Vector):
    """Loss weights."""


class BoolVec(Vector):
    """What is propagated down."""
