"""Read definitions and weights, whatever form their files have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from . import solverstate
from .binary import blob, caffemodel
from .binary.blob import Blob
from .binary.caffemodel import Weights
from .binary.unknown import unknown_fields
from .errors import FormatError, within
from .file_state import FileState, Form
from .hdf5 import weights as hdf5
from .net import Net
from .schema import SHIPPED, Schema
from .solverstate import SolverState
from .text.parse import format_message, parse_message, parse_text
from .upgrade import name_snapshots, upgrade, upgrade_solver

_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f]")  # every binary network has some, no text has


def kind_of(path: str | Path) -> Form:
    """Tell by its bytes what form a file has."""
    with open(path, "rb") as file:
        start = file.read(4096)
        if start.startswith(hdf5.MAGIC):
            return "hdf5"
        if _CONTROL.search(start) or _CONTROL.search(file.read()):
            return "binary"
    return "text"


def read_net(
    path: str | Path,
    *,
    allow_unknown: bool = False,
    dialect: str | None = None,
    values: Mapping[str, str] | None = None,
    schema: Schema = SHIPPED,
) -> Net:
    """Read a definition in today's form: text, or the network that a .caffemodel embeds.

    Older generations are upgraded as Caffe upgrades them; phases are not yet filtered. `values`
    are those of a template's placeholders, `schema` has the dialects that it may be of.
    """
    return upgrade(
        read_as_written(
            path, allow_unknown=allow_unknown, dialect=dialect, values=values, schema=schema
        )
    )


def read_as_written(
    path: str | Path,
    *,
    allow_unknown: bool = False,
    dialect: str | None = None,
    values: Mapping[str, str] | None = None,
    schema: Schema = SHIPPED,
) -> Net:
    """Read a definition of any generation as it stands."""
    file = FileState.of(path, kind_of(path))
    if file.form == "hdf5":
        fix = "give its .prototxt"
        raise FormatError(f"{path}: HDF5 weights hold no network", fix=fix)
    if file.form == "text":
        text = parse_text(
            _decoded(path),
            str(path),
            dialect=dialect,
            allow_unknown=allow_unknown,
            values=values,
            schema=schema,
        )
        return replace(text, file=file)
    if values:
        raise FormatError(f"{path}: a binary network has no placeholders, so no values fill them")
    net = caffemodel.read_binary(path, dialect, schema=schema).net
    assert net is not None
    unknown = unknown_fields(net)
    if unknown and not allow_unknown:
        fix = "name the fork with --dialect; --allow-unknown passes over it, and reports it"
        raise FormatError(f"{path}: {unknown[0]}", fix=fix)
    return replace(net, unknown=[f"{path}: {field}" for field in unknown], file=file)


def read_weights(path: str | Path, *, schema: Schema = SHIPPED) -> Weights:
    """Read weights: a .caffemodel of any generation, or HDF5."""
    file = FileState.of(path, kind_of(path))
    if file.form == "text":
        _refuse_text(path, "weights")
    if file.form == "hdf5":
        weights = hdf5.read_hdf5(path)
    else:
        weights = caffemodel.read_binary(path, schema=schema)
    weights.file = file
    return weights


def read_blob(path: str | Path) -> Blob:
    """Read a file of one blob, as mean.binaryproto."""
    if kind_of(path) == "text":
        _refuse_text(path, "a blob")
    with within(str(path)):
        data = caffemodel.mapped(path)
        return blob.read(data, 0, len(data))


def read_solver(path: str | Path, *, schema: Schema = SHIPPED) -> Any:
    """Read a solver's text as a SolverParameter in today's form.

    Caffe: src/caffe/util/upgrade_proto.cpp, ReadSolverParamsFromTextFileOrDie
    """
    if (kind := kind_of(path)) != "text":
        raise FormatError(f"{path}: a {kind} file, wants a solver's text")
    message = parse_message(_decoded(path), "SolverParameter", str(path), schema=schema)
    with within(str(path)):
        return name_snapshots(upgrade_solver(message), path)


def embedded_net(message: Any, source: str, *, schema: Schema = SHIPPED) -> Net:
    """Return the network of a NetParameter that stands inside a solver, upgraded."""
    return upgrade(parse_text(format_message(message), source, schema=schema))


def read_solverstate(path: str | Path) -> SolverState:
    """Read a solver's state: a .solverstate, or HDF5."""
    kind = kind_of(path)
    if kind == "hdf5":
        return solverstate.read_hdf5_state(path)
    if kind == "text":
        _refuse_text(path, "a solver's state")
    return solverstate.read_binary_state(path)


def _decoded(path: str | Path) -> str:
    """Return a file's text; a byte that is not UTF-8, which a comment may hold, as a surrogate."""
    return Path(path).read_bytes().decode("utf-8", "surrogateescape")


def _refuse_text(path: str | Path, wanted: str) -> NoReturn:
    fix = "give the .prototxt first and the .caffemodel after it" if wanted == "weights" else ""
    with open(path, "rb") as file:
        start = file.read(64)
    if not start:
        raise FormatError(f"{path}: the file is empty, wants {wanted}")
    if start.startswith(b"version https://git-lfs"):
        fix = "fetch the file itself with `git lfs pull`"
        raise FormatError(f"{path}: a Git LFS pointer, wants {wanted}", fix=fix)
    raise FormatError(f"{path}: text, wants {wanted}", fix=fix)
