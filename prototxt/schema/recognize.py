"""Which dialects a network's file is of, and what gave them away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .dialects import Schema
from .layer_types import type_of


@dataclass(frozen=True)
class Recognized:
    """A dialect, or several that cannot be told apart, and the types and fields that tell."""

    names: tuple[str, ...]
    signs: tuple[str, ...]

    def __str__(self) -> str:
        return f"{' or '.join(self.names)} ({', '.join(self.signs)})"


def recognize(messages: Sequence[Any], schema: Schema) -> list[Recognized]:
    """Tell the dialects of a network, given its header and its layers.

    What only one dialect has tells it. What several have tells nothing by itself, but one of them
    that explains the rest too is taken for all. There are none where BVLC's schema says it all.
    The further dialects are asked where the first leave something unexplained.
    """
    further = not all(map(schema.is_explained, messages))
    found: dict[str, frozenset[str]] = {}
    for message in messages:
        if names := schema.readers(message, further=further):
            for sign in signs(message, schema):
                found[sign] = found.get(sign, names) & names or names
    return grouped(found, schema)


def signs(message: Any, schema: Schema) -> list[str]:
    """Name what tells a message's dialect: its type where BVLC lacks it, else the fields."""
    extras = list(dict.fromkeys(extra.path for extra in schema.extra_fields(message, neutral=True)))
    if "LayerParameter" not in message.DESCRIPTOR.name:
        return extras
    kind = type_of(message)
    return extras if kind in schema.dialect("bvlc").types else [kind]


def grouped(found: Mapping[str, frozenset[str]], schema: Schema) -> list[Recognized]:
    """Return the fewest dialects that have every sign between them, those with most signs first."""
    left = dict(found)
    groups = []
    while left:
        named = frozenset[str]().union(*left.values())
        has = {
            name: tuple(sign for sign, names in left.items() if name in names)
            for name in schema.in_order(named)
        }
        explained = max(has.values(), key=len)
        best = _plainest({name for name in has if has[name] == explained}, schema)
        groups.append(Recognized(tuple(name for name in has if name in best), explained))
        left = {sign: names for sign, names in left.items() if sign not in explained}
    return groups


def certain(groups: Sequence[Recognized], schema: Schema) -> frozenset[str]:
    """Name the dialects that are told for sure, with those that they build upon."""
    names = {group.names[0] for group in groups if len(group.names) == 1}
    return frozenset(names).union(*(schema.bases(name) for name in names))


def _plainest(names: set[str], schema: Schema) -> set[str]:
    """Leave out what builds upon another of the dialects, further ones and converters' schemas."""
    names = {name for name in names if not schema.is_further(name)} or names
    names = {name for name in names if not schema.dialect(name).is_union} or names
    return {name for name in names if not schema.bases(name) & names}
