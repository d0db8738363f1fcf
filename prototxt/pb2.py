"""BVLC's messages and enums with every fork's fields among them, as a compiled caffe_pb2 has them.

Text that any fork can read is read by these messages. Where two forks' fields clash the earlier
one stands, and a later field whose number is taken gets one that nobody uses: binary files of such
a fork want it named first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from google.protobuf import descriptor_pool, message_factory
from google.protobuf.internal import enum_type_wrapper

from .schema import SHIPPED, Schema
from .schema.definitions import Enum, Field, Message
from .schema.descriptors import to_file

FILE = "caffe.proto"
FIRST_FREE = 1_000_001
"""Numbers from here on are no fork's."""
OPTIONAL, REQUIRED = 1, 2


def union(schema: Schema = SHIPPED, dialect: str | None = None) -> Message:
    """Return all dialects' definitions in one; the named one's stand where others clash with it."""
    whole = Message("")
    for name in dict.fromkeys([*([dialect] if dialect else []), *schema.names]):
        more = schema.dialect(name).fragment.merged
        clashing = (more.enums.keys() & whole.messages) | (more.messages.keys() & whole.enums)
        names = {one: f"{one}_{name}" for one in clashing}
        whole = _merged(whole, _renamed(more, names) if names else more)
    return whole


def namespace(schema: Schema = SHIPPED, dialect: str | None = None) -> dict[str, Any]:
    """Return what a compiled module holds: classes, enums and the values of the outer enums."""
    pool = descriptor_pool.DescriptorPool()
    whole = to_file(union(schema, dialect), FILE)
    _settle(whole.message_type, _values(whole, ".caffe"))
    pool.AddSerializedFile(whole.SerializeToString())
    file = pool.FindFileByName(FILE)
    names: dict[str, Any] = {"DESCRIPTOR": file}
    for name, enum in file.enum_types_by_name.items():
        names[name] = enum_type_wrapper.EnumTypeWrapper(enum)
        names.update((value.name, value.number) for value in enum.values)
        names[f"_{name.upper()}"] = enum
    for name, found in file.message_types_by_name.items():
        names[name] = message_factory.GetMessageClass(found)
        names.update(_descriptors(found, f"_{name.upper()}"))
    return names


def _values(scope: Any, path: str) -> dict[str, set[str]]:
    """Return the names of the values of every enum of a file or a message."""
    found = {
        f"{path}.{enum.name}": {value.name for value in enum.value} for enum in scope.enum_type
    }
    nested = scope.message_type if hasattr(scope, "message_type") else scope.nested_type
    for message in nested:
        found |= _values(message, f"{path}.{message.name}")
    return found


def _settle(messages: Any, values: Mapping[str, Collection[str]]) -> None:
    """Mend what only clashes in one file.

    Fields are called in JSON as in the schema, since protobuf would call pad_out_w and pad_outW
    alike; a default goes that another enum's value of that name has displaced.
    """
    for message in messages:
        for field in message.field:
            field.json_name = field.name
            known = values.get(field.type_name)
            if known is not None and field.default_value not in known:
                field.ClearField("default_value")
        _settle(message.nested_type, values)


def _descriptors(message: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield the descriptors under the names that the compiler gives them: _LAYERPARAMETER."""
    yield name, message
    for inner in message.nested_types:
        yield from _descriptors(inner, f"{name}_{inner.name.upper()}")
    for enum in message.enum_types:
        yield f"{name}_{enum.name.upper()}", enum


def _merged(base: Message, more: Message) -> Message:
    """Return `base` with what it lacks of `more`."""
    fields = {one.name: one for one in base.fields}
    taken = {one.number for one in base.fields}
    for one in more.fields:
        if one.name not in fields:
            number = one.number if one.number not in taken else _free(taken)
            taken.add(number)
            fields[one.name] = _added(one, number, optional=bool(base.fields))
    messages = dict(base.messages)
    for name, inner in more.messages.items():
        messages[name] = _merged(messages.get(name, Message(name)), inner)
    enums = dict(base.enums)
    for name, enum in more.enums.items():
        others = [other for key, other in enums.items() if key != name]
        said = {value for other in others for value in other.values}  # of one scope, as in C++
        enums[name] = _merged_enum(enums.get(name, Enum(name)), enum, said)
    return Message(base.name or more.name, list(fields.values()), messages, enums)


def _renamed(message: Message, names: Mapping[str, str]) -> Message:
    """Return definitions with others' names for some: an enum's, where another has a message."""
    inner = {
        names.get(name, name): _renamed(replace(one, name=names.get(name, name)), names)
        for name, one in message.messages.items()
    }
    enums = {
        names.get(name, name): replace(one, name=names.get(name, name))
        for name, one in message.enums.items()
    }
    fields = [replace(one, type=names.get(one.type, one.type)) for one in message.fields]
    return replace(message, fields=fields, messages=inner, enums=enums)


def _added(field: Field, number: int, *, optional: bool) -> Field:
    """Return a field as it joins others: what one fork requires, the others do not have."""
    label = OPTIONAL if optional and field.label == REQUIRED else field.label
    return replace(field, number=number, label=label)


def _merged_enum(base: Enum, more: Enum, said: Collection[str]) -> Enum:
    values = dict(base.values)
    for name, number in more.values.items():
        if name not in values and name not in said:
            numbers = set(values.values())
            values[name] = number if number not in numbers else _free(numbers)
    return Enum(base.name, values)


def _free(taken: Iterable[int]) -> int:
    return max(FIRST_FREE - 1, *taken) + 1
