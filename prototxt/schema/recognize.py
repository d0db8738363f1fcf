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
    """Name the dialects that are told for sure, with those that they build upon.

    What the user gave is told by that.
    """
    names = {group.names[0] for group in groups if len(group.names) == 1} | schema.given.keys()
    return frozenset(names).union(*(schema.bases(name) for name in names))


def decisive(groups: Sequence[Recognized], schema: Schema, named: str | None = None) -> list[str]:
    """Name the dialects whose defaults a file's layers have: the named, the given or the file's.

    A file of two forks at once is a third's, of which nothing more is known.
    """
    if named is not None:
        return [named]
    if schema.given:
        return list(schema.given)
    return [*groups[0].names] if len(groups) == 1 == len(groups[0].names) else []


def _plainest(names: set[str], schema: Schema) -> set[str]:
    """Leave out what builds upon another of the dialects, and all but those of the best rank."""
    best = min(_rank(name, schema) for name in names)
    names = {name for name in names if _rank(name, schema) == best}
    return {name for name in names if not schema.bases(name) & names}


def _rank(name: str, schema: Schema) -> int:
    """Return how late a dialect comes among those that explain the same."""
    if schema.dialect(name).is_union:
        return 3
    if schema.is_further(name):
        return 2
    return 1 if name in schema.given else 0
