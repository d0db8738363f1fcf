"""What a fork's fields are where a file does not set them, if that is not what BVLC's are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

from prototxt.errors import UnsupportedError

from .dialect import Dialect

Path = tuple[str, ...]
"""A field's name after those of the messages around it, from the layer on."""


def with_defaults(message: Any, dialects: Iterable[Dialect], own_param: str = "") -> Any:
    """Return a message with the values of the dialects' defaults set, where they differ from its.

    It is of the same class still, and so reads as the fork means it. Messages in it that are not
    set are left alone, but for that of the name `own_param`: the parameters of the layer's type.

    Raises UnsupportedError where two dialects have different defaults.
    """
    dialects = list(dialects)
    found = {
        path: value for one in dialects for path, value in other_defaults(message, one, own_param)
    }
    if not found:
        return message
    new = type(message)()
    new.CopyFrom(message)
    for path, value in found.items():
        meant = {one.name: _default_in(message, one, path) for one in dialects}
        said = {name: each for name, each in meant.items() if each is not None}
        if len(set(said.values())) > 1:
            which = ", ".join(f"{name} reads {shown(message, path, said[name])}" for name in said)
            raise UnsupportedError(
                f"{'.'.join(path)} is not set, and forks differ in what that means: {which}",
                fix="name the fork with --dialect",
            )
        _set(new, path, value)
    return new


def other_defaults(
    message: Any, dialect: Dialect, own_param: str = ""
) -> Iterator[tuple[Path, Any]]:
    """Yield the fields that are not set and of another default in a dialect, and that default."""
    yield from _differing(message, dialect.message(message.DESCRIPTOR.name).DESCRIPTOR, own_param)


def shown(message: Any, path: Path, value: Any) -> str:
    """Return a field's value as text has it: an enum's by its name."""
    enum = _field(message.DESCRIPTOR, path).enum_type
    return str(enum.values_by_number[value].name if enum else value)


def _differing(message: Any, other: Any, own_param: str) -> Iterator[tuple[Path, Any]]:
    for name, value in _changed(message.DESCRIPTOR, other).items():
        if not message.HasField(name):
            yield (name,), value
    for field, theirs in _messages(message.DESCRIPTOR, other).items():
        if message.HasField(field) or field == own_param:
            for path, value in _differing(getattr(message, field), theirs, ""):
                yield (field, *path), value


@cache
def _changed(own: Any, other: Any) -> Mapping[str, Any]:
    """Return the fields of a message's class whose default is another one in the other class."""
    found = {}
    for field, theirs in _both(own, other):
        value = _default(field, theirs)
        if value is not None and value != field.default_value:
            found[field.name] = value
    return found


@cache
def _messages(own: Any, other: Any) -> Mapping[str, Any]:
    """Return the messages in a class that the other class has too: its form of them."""
    return {
        field.name: theirs.message_type
        for field, theirs in _both(own, other)
        if field.message_type is not None and theirs.message_type is not None
    }


def _both(own: Any, other: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the fields that two classes have both: lists are no parameters that can be unset."""
    for field in own.fields:
        theirs = other.fields_by_name.get(field.name)
        if theirs is not None and [] not in (field.default_value, theirs.default_value):
            yield field, theirs


def _default(field: Any, theirs: Any) -> Any:
    """Return another class's default of a field for this one's; None where there is none such."""
    if field.message_type is not None or theirs.message_type is not None:
        return None
    if field.enum_type is not None and theirs.enum_type is not None:
        name = theirs.enum_type.values_by_number[theirs.default_value].name
        known = field.enum_type.values_by_name.get(name)
        return known.number if known else None
    alike = field.enum_type is None and theirs.enum_type is None
    alike &= isinstance(theirs.default_value, str) == isinstance(field.default_value, str)
    return theirs.default_value if alike else None


def _default_in(message: Any, dialect: Dialect, path: Path) -> Any:
    """Return a dialect's default of the field at a path; None where it has no such field."""
    theirs = _field(dialect.message(message.DESCRIPTOR.name).DESCRIPTOR, path)
    return _default(_field(message.DESCRIPTOR, path), theirs) if theirs is not None else None


def _field(descriptor: Any, path: Path) -> Any:
    *messages, last = path
    for name in messages:
        field = descriptor.fields_by_name.get(name) if descriptor is not None else None
        descriptor = field.message_type if field is not None else None
    return descriptor.fields_by_name.get(last) if descriptor is not None else None


def _set(message: Any, path: Path, value: Any) -> None:
    *messages, field = path
    for name in messages:
        message = getattr(message, name)
    setattr(message, field, value)
