"""Forks' own schemas: the `caffe.proto` that the user gives, or that lies beside the files."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path

from prototxt.errors import FormatError, headline
from prototxt.paths import PathName

from .dialects import Schema

Protos = PathName | Sequence[PathName] | None
"""Files of forks' schemas; "none" where none is to be looked for."""

NONE = "none"
_BESIDE = Path("caffe.proto")
_ABOVE = Path("src", "caffe", "proto", "caffe.proto")


def with_protos(schema: Schema, protos: Protos, near: PathName | None = None) -> Schema:
    """Return a schema with the forks' own that are given, else with that found `near` a file.

    Raises FormatError for what is wrong with a given file, UsageError where there is none; what is
    wrong with one that was found is in the schema's `notes`.
    """
    if isinstance(protos, (str, PathLike)):
        protos = [protos]
    given = [path for path in protos or () if fspath(path) != NONE]
    for path in given:
        schema = schema.with_proto(Path(path))
    if protos or near is None or schema.given or schema.found:
        return schema
    found = find(near)
    if found is None:
        return schema
    try:
        return schema.with_proto(found, found=True)
    except FormatError as error:
        return schema.noting(f"{found} lies beside the file, and is not read: {headline(error)}")


def find(near: PathName) -> Path | None:
    """Return the `caffe.proto` beside a file, or in a Caffe's sources above it; None if none is."""
    folder = Path(near).absolute().parent
    places = [folder / _BESIDE, *(above / _ABOVE for above in (folder, *folder.parents))]
    return next((place for place in places if place.is_file()), None)
