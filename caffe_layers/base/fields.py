"""A layer's arguments, read from the fields of its message that have their names."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import Parameter, Signature, signature
from typing import Any

from .filler import Filler

REQUIRED = Parameter.empty
"""The default of an argument that has none."""

NAMED = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)


def signature_of(cls: type) -> Signature:
    """Return what a class is called with, its bases' keywords among its own.

    Where an `__init__` hands `**options` on, the next one's named parameters stand there, with
    their types and defaults. `**options` itself is left out if a TypedDict says what it is.
    """
    found: dict[str, Parameter] = {}
    rest: list[Parameter] = []
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        _, *parameters = signature(vars(base)["__init__"]).parameters.values()
        for parameter in parameters:
            if parameter.kind is Parameter.VAR_KEYWORD:
                rest = rest or [parameter]
            elif not rest:
                found[parameter.name] = parameter
            elif parameter.kind in NAMED:
                keyword = parameter.replace(kind=Parameter.KEYWORD_ONLY)
                found.setdefault(parameter.name, keyword)
        if not any(p.kind is Parameter.VAR_KEYWORD for p in parameters):
            break
    return Signature([*found.values(), *(one for one in rest if not is_declared(one))])


def is_declared(options: Parameter) -> bool:
    """Tell whether the keywords of a `**options` are those of a TypedDict."""
    return "Unpack[" in str(options.annotation)


def arguments_of(cls: type) -> Mapping[str, Any]:
    """Return what a class's `__init__` takes by name, with the defaults: see `signature_of`."""
    parameters = signature_of(cls).parameters.values()
    return {p.name: p.default for p in parameters if p.kind in NAMED}


class SignatureOfClass:
    """The `__signature__` of a class, which `inspect`, and so `help`, asks for first."""

    def __get__(self, instance: object, cls: type) -> Signature:
        if instance is not None:
            raise AttributeError("an instance is called as its forward is")
        return signature_of(cls)


def read_fields(message: Any, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the `arguments`, given with their defaults, that a message has as fields.

    An enum is its value's name, a list a tuple, a `FillerParameter` a Filler, and a `BlobShape` the
    tuple of its sizes. A field that is not set has the schema's default. The argument's own stands
    where the schema has none, as for lists and messages, and where it is None.
    """
    fields = message.DESCRIPTOR.fields_by_name
    return {
        name: _read(message, fields[name], default)
        for name, default in arguments.items()
        if name in fields
    }


def _read(message: Any, field: Any, default: Any) -> Any:
    value = getattr(message, field.name)
    repeated = not field.has_presence
    is_set = len(value) > 0 if repeated else message.HasField(field.name)
    none = default is None or not field.has_default_value
    if not is_set and none and default is not REQUIRED:
        return default
    return tuple(_taken(field, one) for one in value) if repeated else _taken(field, value)


def _taken(field: Any, value: Any) -> Any:
    if field.enum_type is not None:
        return field.enum_type.values_by_number[value].name
    if field.message_type is None:
        return value
    if field.message_type.name == "FillerParameter":
        return Filler.from_caffe(value)
    return tuple(value.dim) if field.message_type.name == "BlobShape" else value
