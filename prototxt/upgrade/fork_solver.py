"""A fork's solver as BVLC's: its own fields are passed over or refused, none without a word."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from google.protobuf import text_format

from prototxt.errors import UnsupportedError
from prototxt.net import copied
from prototxt.schema import Schema, dialect_of
from prototxt.schema.defaults import with_defaults

FIRST = "device_id"
"""A list in yjxiong's forks, of a machine's GPUs: one process trains on one."""


def to_bvlc(
    solver: Any, schema: Schema, heeded: Collection[str] = ()
) -> tuple[Any, list[str], dict[str, Any]]:
    """Return a SolverParameter with BVLC's fields alone, notes, and the fork's `heeded` fields.

    The notes say what was passed over. The heeded fields are those that are set, by name: the
    caller knows what they mean.

    It is of BVLC's class, unless there is a network in it that has a fork's fields.

    A field that BVLC lacks says nothing where it is the fork's default, and is passed over where
    the schema marks it as neutral: it changes speed, devices or logging. What a fork takes for
    granted where nothing is said (NVIDIA tests no network that has not learned) is written out.

    Raises UnsupportedError for a field that changes what is trained or measured.
    """
    fork = schema.dialect(dialect_of(solver))
    if fork.name == "bvlc":
        return with_defaults(solver, schema.given.values()), [], {}
    new = copied(solver)
    bvlc = schema.dialect("bvlc").message("SolverParameter")
    known: Any = bvlc.DESCRIPTOR.fields_by_name
    notes = []
    own: dict[str, Any] = {}
    for field, value in solver.ListFields():
        base = known.get(field.name)
        if base is None:
            new.ClearField(field.name)
            if field.name in heeded:
                own[field.name] = value
            elif fork.neutral.get(field.full_name) == "true":
                notes.append(f"{field.name} is passed over: it changes nothing that is learned")
            elif not field.has_default_value or value != field.default_value:
                raise _refused(field.name, fork.name)
        elif field.name == FIRST and not isinstance(value, int):
            del getattr(new, FIRST)[1:]
            if len(value) > 1:
                notes.append(f"{FIRST}: one process trains on one device, the first of {[*value]}")
        elif field.enum_type is not None and value not in base.enum_type.values_by_number:
            named = field.enum_type.values_by_number[value].name
            raise _refused(f"{field.name}: {named}", fork.name)
    theirs = solver.DESCRIPTOR.fields_by_name
    try:
        made = text_format.Parse(text_format.MessageToString(new), bvlc())
    except text_format.ParseError:  # in a network inside
        if lacking := set(known) - set(theirs):
            raise UnsupportedError(
                f"the network inside is a fork's, and {fork.name}'s solvers have no {min(lacking)}",
                fix="write the network to a file of its own, and name it with net",
            ) from None
        return new, notes, own
    return with_defaults(made, [fork]), notes, own


def _refused(what: str, fork: str) -> UnsupportedError:
    return UnsupportedError(
        f"{what} is set, a field of {fork}'s solver that changes what is trained or measured, and "
        "that nothing here heeds",
        fix="remove it to train without",
    )
