"""The set fields of a message that a schema lacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.message import Message


@dataclass(frozen=True)
class Extra:
    """A set field that BVLC's schema lacks, or one with an enum value that it lacks."""

    path: str
    """As `convolution_param.relu`."""
    full_name: str
    value: str = ""
    """Of an enum, by name."""
    is_default: bool = False
    """It is set to what its fork takes where it is not set: that changes nothing."""

    @property
    def name(self) -> str:
        """The field's own name."""
        return self.path.rpartition(".")[2]

    def __str__(self) -> str:
        return f"{self.path}: {self.value}" if self.value else self.path


def extra_fields(message: Any, bases: Sequence[Any], path: str = "") -> Iterator[Extra]:
    """Yield the set fields that none of the `bases` has: other dialects' forms of the message.

    `path` is where the message stands in a layer's, as `convolution_param.`.
    """
    if bases[0] == message.DESCRIPTOR:
        return
    for field, value in message.ListFields():
        default = bool(field.has_default_value and value == field.default_value)
        same = [base.fields_by_name.get(field.name) for base in bases]
        known = [one for one in same if one is not None and _is_read_as(field, one)]
        here, of = f"{path}{field.name}", field.full_name
        if field.enum_type is not None:
            for number in [value] if isinstance(value, int) else value:
                name = _value_name(field, number)
                if not name or name not in [_value_name(one, number) for one in known]:
                    yield Extra(here, of, name or str(number), default and not known)
        elif not known:
            yield Extra(here, of, is_default=default)
        elif field.message_type is not None:
            for one in [value] if isinstance(value, Message) else value:
                yield from extra_fields(one, [base.message_type for base in known], f"{here}.")


def _is_read_as(field: Any, known: Any) -> bool:
    """Tell whether what reads a known field can read another one of its name: no list for one."""
    lists = field.default_value == [] and known.default_value != []
    return field.cpp_type == known.cpp_type and not lists


def _value_name(field: Any, number: int) -> str:
    found = field.enum_type.values_by_number.get(number)
    return str(found.name) if found else ""
