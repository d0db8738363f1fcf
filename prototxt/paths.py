"""What files are named by."""

from __future__ import annotations

from os import PathLike

PathName = str | PathLike[str]


def split_list(names: str) -> list[str]:
    """Return the names in `a,b`, as Caffe lists files of weights."""
    return [name for name in names.split(",") if name]
