"""Read definitions and weights, whatever form their files have."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from . import solverstate
from .binary import blob
from .binary.blob import Blob
from .binary.caffemodel import Weights, parse_binary
from .binary.safetensors import read_safetensors
from .binary.unknown import unknown_fields
from .errors import CaffeError, FormatError, advising, within
from .file_state import FileState, Form, open_file
from .foreign import refuse_foreign
from .hdf5 import weights as hdf5
from .net import Net
from .schema import SHIPPED, Schema
from .solverstate import SolverState
from .text.parse import format_message, parse_message, parse_text
from .upgrade import name_snapshots, to_bvlc, upgrade, upgrade_solver

_OF_A_NET = re.compile(r"SolverParameter has no field '(?:layers?|name|input(?:_dim|_shape)?)'")


def kind_of(path: str | Path) -> Form:
    """Tell by its bytes what form a file has."""
    return open_file(path)[0].form


def read_net(
    path: str | Path,
    *,
    allow_unknown: bool = False,
    dialect: str | None = None,
    values: Mapping[str, str] | None = None,
    schema: Schema = SHIPPED,
) -> Net:
    """Read a definition in today's form: text, or the network that a .caffemodel embeds.

    Older generations are upgraded as Caffe upgrades them; phases are not yet filtered.

    Args:
        path: the file.
        allow_unknown: fields that no schema has are passed over and listed in the Net.
        dialect: the fork by whose reading a field is taken where several fit.
        values: what fills a template's placeholders.
        schema: the dialects that it may be of.

    Raises FormatError, with the file and the place in it.
    """
    net, _ = read_as_written(
        path, allow_unknown=allow_unknown, dialect=dialect, values=values, schema=schema
    )
    return upgrade(net)


def read_as_written(
    path: str | Path,
    *,
    allow_unknown: bool = False,
    strict: bool = True,
    dialect: str | None = None,
    values: Mapping[str, str] | None = None,
    schema: Schema = SHIPPED,
) -> tuple[Net, Weights | None]:
    """Read a definition of any generation as it stands, and the weights that its file holds too.

    Where this is not `strict`, what does not read is left out, and the Net's `faults` say it.
    """
    file, data = open_file(path)
    if file.form == "hdf5":
        fix = "give its .prototxt"
        raise FormatError(f"{path}: HDF5 weights hold no network", fix=fix)
    if file.form == "binary":
        if values:
            problem = "a binary network has no placeholders, so no values fill them"
            raise FormatError(f"{path}: {problem}")
        weights = _parse_binary(file, data, dialect, schema)
        net = _embedded(weights)
        if allow_unknown:
            net = net.passing_over_unknown()
        if strict:
            net.refuse_faults()
        return net, weights
    with within(str(path)):
        refuse_foreign(data, "a network's text")
    net = parse_text(
        _decoded(data),
        str(path),
        dialect=dialect,
        allow_unknown=allow_unknown,
        strict=strict,
        values=values,
        schema=schema,
    )
    return replace(net, file=file), None


def read_weights(path: str | Path, *, schema: Schema = SHIPPED, private: bool = False) -> Weights:
    """Read weights: a .caffemodel of any generation, HDF5, or safetensors that we wrote.

    With `private` a .caffemodel's values may be written to, which does not change the file.
    """
    file, data = open_file(path, private=private)
    if file.form == "text":
        _refuse_text(path, data, "weights")
    if file.form == "hdf5":
        return replace(hdf5.read_hdf5(path), file=file)
    if file.form == "safetensors":
        return replace(read_safetensors(path), file=file)
    weights = _parse_binary(file, data, None, schema)
    return replace(weights, pages=data) if private else weights


def _parse_binary(
    file: FileState, data: memoryview, dialect: str | None, schema: Schema
) -> Weights:
    with within(str(file.path)):
        refuse_foreign(data, "a network of Caffe's")
        weights = parse_binary(data, str(file.path), dialect, schema=schema)
    return replace(weights, file=file)


def _embedded(weights: Weights) -> Net:
    """Return the network that a .caffemodel holds, with the unknown fields as its faults."""
    net = weights.net
    assert net is not None
    return replace(net, faults=list(unknown_fields(net, weights.source)))


def read_blob(path: str | Path) -> Blob:
    """Read a file of one blob, as mean.binaryproto."""
    file, data = open_file(path)
    if file.form == "text":
        _refuse_text(path, data, "a blob")
    with within(str(path)):
        refuse_foreign(data, "a blob")
        return blob.read(data, 0, len(data))


def read_solver(path: str | Path, *, schema: Schema = SHIPPED) -> Any:
    """Read a solver's text as BVLC's SolverParameter in today's form.

    Raises UnsupportedError for a fork's field that changes what is trained or measured.

    Caffe: src/caffe/util/upgrade_proto.cpp, ReadSolverParamsFromTextFileOrDie
    """
    return read_solver_file(path, schema=schema).param


class SolverFile(NamedTuple):
    """A solver, what was passed over of it, in sentences, and the fork's fields that are heeded."""

    param: Any
    notes: list[str]
    own: dict[str, Any]


def read_solver_file(
    path: str | Path, *, schema: Schema = SHIPPED, heeded: Collection[str] = ()
) -> SolverFile:
    """Read a solver as `read_solver` does; a fork's `heeded` fields are not refused.

    They are left to the caller, by name, where they are set.
    """
    file, data = open_file(path)
    if file.form != "text":
        raise FormatError(f"{path}: a {file.form} file, wants a solver's text")
    with advising(_meant_net):
        message = parse_message(_decoded(data), "SolverParameter", str(path), schema=schema)
    with within(str(path)):
        solver, notes, own = to_bvlc(message, schema, heeded)
        return SolverFile(name_snapshots(upgrade_solver(solver), path), notes, own)


def _meant_net(error: CaffeError) -> str:
    """Say what to give in place of a network's definition."""
    if not _OF_A_NET.search(str(error)):
        return ""
    return 'it is a network: give the solver that names it, net: "..."'


def embedded_net(message: Any, source: str, *, schema: Schema = SHIPPED) -> Net:
    """Return the network of a NetParameter that stands inside a solver, upgraded."""
    return upgrade(parse_text(format_message(message), source, schema=schema))


def read_solverstate(path: str | Path) -> SolverState:
    """Read a solver's state: a .solverstate, or HDF5."""
    file, data = open_file(path)
    if file.form == "hdf5":
        return solverstate.read_hdf5_state(path)
    if file.form == "text":
        _refuse_text(path, data, "a solver's state")
    return solverstate.read_binary_state(path)


def _decoded(data: memoryview) -> str:
    """Return a file's text; a byte that is not UTF-8, which a comment may hold, as a surrogate."""
    return bytes(data).decode("utf-8", "surrogateescape")


def _refuse_text(path: str | Path, data: memoryview, wanted: str) -> NoReturn:
    fix = "give the .prototxt first and the .caffemodel after it" if wanted == "weights" else ""
    if not data:
        raise FormatError(f"{path}: the file is empty, wants {wanted}")
    with within(str(path)):
        refuse_foreign(data, wanted)
    raise FormatError(f"{path}: text, wants {wanted}", fix=fix)
