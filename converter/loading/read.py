"""The definition and the weights of a network, each file opened once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path

from prototxt import Net, Weights, read_weights
from prototxt.errors import FormatError
from prototxt.paths import PathName, split_list
from prototxt.read import read_as_written
from prototxt.schema import Schema
from prototxt.upgrade import upgrade


def read_model(
    net: PathName | Net,
    weights: PathName | Sequence[PathName] | None,
    *,
    schema: Schema,
    dialect: str | None = None,
    allow_unknown: bool = False,
    values: Mapping[str, str] | None = None,
) -> tuple[Net, list[Weights]]:
    """Return a definition in today's form, of every phase, and its weights.

    A lone `.caffemodel` holds both.
    """
    held: dict[Path, Weights] = {}
    if isinstance(net, Net):
        if values:
            raise FormatError(f"{net.source}: a network that was read already takes no values")
        definition = replace(net, schema=schema)
    else:
        written, own = read_as_written(
            fspath(net), allow_unknown=allow_unknown, dialect=dialect, values=values, schema=schema
        )
        definition = upgrade(written)
        if own is not None:
            held[Path(net)] = own
    paths = weight_files(net, weights)
    return definition, [held.get(path) or read_weights(path, schema=schema) for path in paths]


def weight_files(net: PathName | Net, weights: PathName | Sequence[PathName] | None) -> list[Path]:
    """Return the files of weights that are named; a lone binary network is its own."""
    if weights is None:
        if isinstance(net, Net) or Path(net).suffix not in {".caffemodel", ".binaryproto"}:
            return []
        return [Path(net)]
    if isinstance(weights, (str, PathLike)):
        return [Path(name) for name in split_list(fspath(weights))]
    return [Path(path) for path in weights]
