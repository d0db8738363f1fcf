"""What schema files define, and one file's definitions laid over another's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

OPTIONAL, REQUIRED, REPEATED = 1, 2, 3
"""A field's label, by protobuf's numbers."""


@dataclass
class Field:
    name: str
    number: int
    label: int
    type: str
    """A scalar's name, or a message's or enum's as the file has it."""
    place: str
    default: str | None = None
    packed: bool = False
    layer_types: frozenset[str] = frozenset()
    """The only ones that it is for, as its option `(type)` says; none are all."""
    neutral: str = ""
    """As its option says: true, TEST or nothing."""


@dataclass
class Enum:
    name: str
    values: dict[str, int] = field(default_factory=dict)

    def over(self, base: Enum) -> Enum:
        """Return `base` with this enum's values added or put in place of their number's old one."""
        numbers = set(self.values.values())
        kept = {name: number for name, number in base.values.items() if number not in numbers}
        return Enum(self.name, kept | self.values)


@dataclass
class Message:
    """One message as written; also the whole file, whose messages and enums are the top level."""

    name: str
    fields: list[Field] = field(default_factory=list)
    messages: dict[str, Message] = field(default_factory=dict)
    enums: dict[str, Enum] = field(default_factory=dict)
    redefines: bool = False
    layer_types: frozenset[str] = frozenset()
    imports: list[str] = field(default_factory=list)
    is_union: bool = False
    """Of a file: a converter's, which took many forks' definitions over."""

    def over(self, base: Message) -> Message:
        """Return `base` with this message's fields, enums and messages added or put in place."""
        if self.redefines:
            return self
        taken = {key for ours in self.fields for key in (ours.name, ours.number)}
        kept = [old for old in base.fields if taken.isdisjoint((old.name, old.number))]
        messages, enums = dict(base.messages), dict(base.enums)
        for name, ours in self.messages.items():
            messages[name] = ours.over(messages[name]) if name in messages else ours
        for name, values in self.enums.items():
            enums[name] = values.over(enums[name]) if name in enums else values
        return Message(
            self.name,
            kept + self.fields,
            messages,
            enums,
            base.redefines,
            base.layer_types | self.layer_types,
        )

    def enum_values(self) -> Iterator[str]:
        """Yield the names of all enums' values."""
        for enum in self.enums.values():
            yield from enum.values
        for message in self.messages.values():
            yield from message.enum_values()

    def neutral_fields(self, path: str) -> Iterator[tuple[str, str]]:
        """Yield the full names of the neutral fields, and how neutral each is."""
        for name, message in self.messages.items():
            for one in message.fields:
                if one.neutral:
                    yield f"{path}.{name}.{one.name}", one.neutral
            yield from message.neutral_fields(f"{path}.{name}")
