"""The definition and the weights of a network, each file opened once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path

from prototxt import Net, Weights, read_weights
from prototxt.errors import CaffeError, FormatError
from prototxt.paths import PathName, split_list
from prototxt.read import read_as_written
from prototxt.schema import Schema
from prototxt.upgrade import upgrade


def read_model(
    net: PathName | Net,
    weights: PathName | Sequence[PathName | Weights] | None,
    *,
    schema: Schema,
    dialect: str | None = None,
    allow_unknown: bool = False,
    values: Mapping[str, str] | None = None,
    private: bool = False,
) -> tuple[Net, list[Weights]]:
    """Return a definition in today's form, of every phase, and its weights.

    A lone `.caffemodel` holds both. Of a text that is a network's, what does not read is left out
    and among the Net's `faults`. Weights of files of their own are `private` (see `read_weights`).
    """
    held: dict[Path, Weights] = {}
    if isinstance(net, Net):
        if values:
            raise FormatError(f"{net.source}: a network that was read already takes no values")
        definition = replace(net, schema=schema)
    else:
        written, own = read_as_written(
            fspath(net),
            allow_unknown=allow_unknown,
            strict=False,
            dialect=dialect,
            values=values,
            schema=schema,
        )
        try:
            definition = upgrade(written)
        except CaffeError:
            written.refuse_faults()  # it may be for want of what was left out
            raise
        if own is not None:
            held[Path(net)] = own
    files = weight_files(net, weights)
    return definition, [
        file
        if isinstance(file, Weights)
        else held.get(file) or read_weights(file, schema=schema, private=private)
        for file in files
    ]


def weight_files(
    net: PathName | Net, weights: PathName | Sequence[PathName | Weights] | None
) -> list[Path | Weights]:
    """Return the files of weights that are named; a lone binary network is its own."""
    if weights is None:
        if isinstance(net, Net) or Path(net).suffix not in {".caffemodel", ".binaryproto"}:
            return []
        return [Path(net)]
    if isinstance(weights, (str, PathLike)):
        return [Path(name) for name in split_list(fspath(weights))]
    return [file if isinstance(file, Weights) else Path(file) for file in weights]
