"""Fields of binary messages that their dialect's schema lacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.unknown_fields import UnknownFieldSet

from prototxt.net import Net, describe
from prototxt.schema.layer_types import type_of


def unknown_fields(net: Net) -> list[str]:
    """Name every field of a binary network that no dialect which reads it knows."""
    found = [f"NetParameter has the unknown field {number}" for _, number in _walk(net.header)]
    for layer in net.layers:
        for message, number in _walk(layer):
            problem = f"{message} has the unknown field {number}"
            if not net.schema.knows_type(type_of(layer)):
                problem = f"{problem}, and no schema here has fields of that type"
            found.append(f"{describe(layer)}: {problem}")
    return found


def _walk(message: Any) -> Iterator[tuple[str, int]]:
    unknown: Any = UnknownFieldSet(message)
    for field in unknown:
        yield message.DESCRIPTOR.name, field.field_number
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            for inner in [value] if hasattr(value, "ListFields") else value:
                yield from _walk(inner)
