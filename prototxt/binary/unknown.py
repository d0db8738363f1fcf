"""Fields of binary messages that their dialect's schema lacks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from google.protobuf.unknown_fields import UnknownFieldSet

from prototxt.faults import Fault
from prototxt.net import Net, describe
from prototxt.schema.layer_types import type_of

_FIX = "name the fork with --dialect; --allow-unknown passes over it, and reports it"


def unknown_fields(net: Net, source: str) -> Iterator[Fault]:
    """Yield every field of a binary network that no dialect which reads it knows."""
    for _, number in _walk(net.header):
        problem = f"NetParameter has the unknown field {number}"
        yield Fault("field", source, problem, _FIX, problem)
    for layer in net.layers:
        for messages, number in _walk(layer):
            problem = f"{messages[-1]} has the unknown field {number}"
            if not net.schema.knows_type(type_of(layer)):
                problem = f"{problem}, and no schema here has fields of that type"
            place = f"{source}: {describe(layer)}"
            named = {"layer": layer.name, "type": type_of(layer)}
            yield Fault("field", place, problem, _FIX, problem, "", messages, **named)


def _walk(message: Any, around: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], int]]:
    """Yield each unknown field's number, after the types of the messages around it."""
    unknown: Any = UnknownFieldSet(message)
    messages = (*around, message.DESCRIPTOR.name)
    for field in unknown:
        yield messages, field.field_number
    for descriptor, value in message.ListFields():
        if descriptor.message_type is not None:
            for inner in [value] if hasattr(value, "ListFields") else value:
                yield from _walk(inner, messages)
