"""Definitions and weights with something wrong in them, made by their structure.

A text is mutated as a tree of fields, bytes as nested records of protobuf: values go to their
extremes, fields and layers are dropped, doubled, swapped, renamed, given other types; blobs are
cut. What follows depends on the random numbers alone.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

_TOKEN = re.compile(
    r"""#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[{}<>:;,\[\]]|[^\s{}<>:;,\[\]#"']+"""
)
_EXTREMES = (
    *("0", "-1", "1", "2", "3", "7", "2147483647", "-2147483648", "4294967295", "4294967296"),
    *("9223372036854775807", "-9223372036854775808", "18446744073709551615", "1e18"),
    *("0.0", "-0.5", "1e-38", "1e38", "-1e38", "1e400", "nan", "inf", "-inf"),
    *("true", "false", '""', '"x"', "MAX", "TEST", "0x10", "010"),
)
_BITS = (0, 1, 2, 3, 127, 128, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**63 - 1, 2**63, 2**64 - 1)
_FLOATS = (0.0, -1.0, 1e-38, 1e38, float("nan"), float("inf"), float("-inf"))


@dataclass
class Node:
    """A field of a text: its name, and its value or the fields in it."""

    name: str
    value: str | list[Node]

    def text(self) -> str:
        """Return it as it stands in a file."""
        if isinstance(self.value, str):
            return f"{self.name}: {self.value}\n"
        return f"{self.name} {{\n{''.join(node.text() for node in self.value)}}}\n"

    def copy(self) -> Node:
        """Return one that can be changed alone."""
        value = self.value
        return Node(self.name, value if isinstance(value, str) else [n.copy() for n in value])


def parsed(text: str) -> list[Node]:
    """Return the fields of a text; ValueError where it is none of that simple kind."""
    tokens = [token for token in _TOKEN.findall(text) if token[0] not in "#;,"]
    nodes, end = _fields(tokens, 0)
    if end != len(tokens):
        raise ValueError(f"{tokens[end]!r} is no field")
    return nodes


def _fields(tokens: Sequence[str], at: int) -> tuple[list[Node], int]:
    nodes: list[Node] = []
    while at < len(tokens) and tokens[at] not in "}>":
        name = tokens[at]
        at += 1
        colon = tokens[at] == ":"
        at += colon
        if tokens[at] in "{<":
            inner, at = _fields(tokens, at + 1)
            nodes.append(Node(name, inner))
            at += 1
        elif tokens[at] == "[":
            end = tokens.index("]", at)
            nodes.extend(Node(name, token) for token in tokens[at + 1 : end])
            at = end + 1
        elif colon:
            nodes.append(Node(name, tokens[at]))
            at += 1
        else:
            raise ValueError(f"{name!r} has no value")
    return nodes, at


def mutated_text(
    text: str, random: Random, types: Sequence[str], fields: Sequence[tuple[str, Node]]
) -> str:
    """Return a definition with one to three things changed.

    `types` are layers' types to put in place of others, `fields` such as other layers have, each
    with the name of what it stands in.
    """
    if random.random() < 0.04:
        return _broken(text, random)
    nodes = [node.copy() for node in parsed(text)]
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        _change_text(nodes, random, types, fields)
    return "".join(node.text() for node in nodes)


def _broken(text: str, random: Random) -> str:
    """Cut a text, or put other characters into it."""
    at = random.randrange(len(text) + 1)
    if random.random() < 0.5:
        return text[:at]
    return text[:at] + random.choice('{}:"[]<>,#\0\\é0-') + text[at + random.randrange(3) :]


def _change_text(
    nodes: list[Node], random: Random, types: Sequence[str], fields: Sequence[tuple[str, Node]]
) -> None:
    places = list(_places(nodes))
    if not places:
        return
    siblings, index = random.choice(places)
    node = siblings[index]
    scalars = [(s, i) for s, i in places if isinstance(s[i].value, str)]
    change = random.random()
    if change < 0.5 and scalars:
        siblings, index = random.choice(scalars)
        siblings[index] = Node(siblings[index].name, _other(siblings[index], nodes, random, types))
    elif change < 0.6:
        del siblings[index]
    elif change < 0.7:
        siblings.insert(index, node.copy())
    elif change < 0.8:
        other = random.randrange(len(siblings))
        siblings[index], siblings[other] = siblings[other], siblings[index]
    elif change < 0.95:
        within, field = random.choice(fields)
        blocks = [
            value
            for s, i in places
            if not isinstance(value := s[i].value, str)
            and (s[i].name == within or random.random() < 0.02)
        ]
        (random.choice(blocks) if blocks else nodes).append(field.copy())
    else:
        siblings[index] = Node(random.choice(places)[0][0].name, node.value)


def _places(nodes: list[Node]) -> Iterator[tuple[list[Node], int]]:
    for index, node in enumerate(nodes):
        yield nodes, index
        if not isinstance(node.value, str):
            yield from _places(node.value)


def _other(node: Node, nodes: list[Node], random: Random, types: Sequence[str]) -> str:
    """Return another value for a field: of its kind, or an extreme."""
    if node.name == "type" and random.random() < 0.8:
        return f'"{random.choice(types)}"' if str(node.value)[:1] in "\"'" else random.choice(types)
    if node.name in ("bottom", "top", "name") and random.random() < 0.8:
        alike = [s[i].value for s, i in _places(nodes) if s[i].name in ("bottom", "top")]
        return str(random.choice(alike)) if alike else '"x"'
    return random.choice(_EXTREMES)


Record = tuple[int, int, "int | bytes"]
"""A field of bytes: its number, its wire type, its value."""


def mutated_bytes(data: bytes, random: Random) -> bytes:
    """Return a binary file with one or two things changed."""
    if random.random() < 0.1:
        return _broken_bytes(data, random)
    for _ in range(random.choice((1, 1, 2))):
        try:
            data = _change_message(data, random, 0)
        except ValueError:  # the first change left no message
            data = _broken_bytes(data, random)
    return data


def _broken_bytes(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data) + 1)
    if random.random() < 0.5:
        return data[:at]
    return data[:at] + random.randbytes(random.randrange(1, 9)) + data[at + random.randrange(9) :]


def _change_message(data: bytes, random: Random, depth: int) -> bytes:
    records = list(_records(data))
    if not records:
        return data + bytes([random.randrange(256)])
    index = random.randrange(len(records))
    number, wire, value = records[index]
    change = random.random()
    if isinstance(value, bytes) and (change < 0.75 or (depth == 0 and change < 0.9)):
        records[index] = (number, wire, _change_value(value, wire, random, depth))
    elif isinstance(value, int) and change < 0.75:
        records[index] = (number, wire, random.choice(_BITS))
    elif change < 0.8:
        del records[index]
    elif change < 0.85:
        records.insert(index, records[index])
    elif change < 0.92:
        other = random.randrange(len(records))
        records[index], records[other] = records[other], records[index]
    elif change < 0.97:
        records[index] = (random.choice((*range(1, 12), number + 1, 2**29 - 1)), wire, value)
    else:
        records[index] = (number, random.randrange(8), value)
    return b"".join(map(_written, records))


def _change_value(value: bytes, wire: int, random: Random, depth: int) -> bytes:
    if wire != 2:
        form = "<f" if wire == 5 else "<d"
        return struct.pack(form, random.choice(_FLOATS))
    nested = False
    if (value and len(value) < 1 << 16) or depth < 2:
        try:
            nested = all(0 < number < 2**20 for number, _, _ in _records(value))
        except ValueError:
            nested = False
    if nested and value and random.random() < 0.85:
        return _change_message(value, random, depth + 1)
    cut = random.choice((0, 1, 3, 4, len(value) // 2, len(value) - 4, len(value) - 1))
    change = random.random()
    if change < 0.6:
        return value[: max(cut, 0)]
    if change < 0.8:
        return value + value[: random.randrange(9)]
    at = random.randrange(len(value) + 1)
    return value[:at] + struct.pack("<f", random.choice(_FLOATS)) + value[at + 4 :]


def _records(data: bytes) -> Iterator[Record]:
    """Yield the records of a message; ValueError where it is none."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, wire, value
            continue
        if wire not in (1, 2, 5):
            raise ValueError(f"wire type {wire}")
        size, at = _varint(data, at) if wire == 2 else (8 if wire == 1 else 4, at)
        if at + size > len(data):
            raise ValueError("cut off")
        yield number, wire, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ValueError("no number")
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _written(record: Record) -> bytes:
    number, wire, value = record
    head = _as_varint(number << 3 | wire)
    if isinstance(value, int):
        return head + _as_varint(value)
    return head + (_as_varint(len(value)) if wire == 2 else b"") + value


def _as_varint(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    return bytes([*made, value])
