"""Where a fork's schema has a field of BVLC's otherwise: its number, its type or its default."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from prototxt.schema.definitions import REPEATED, Field, Message
from prototxt.schema.difference import default, is_whole
from prototxt.schema.fragment import BVLC, Fragment

BASE = Fragment.read(BVLC).merged
INTEGERS = {"int32", "int64", "uint32", "uint64"}


@dataclass(frozen=True)
class Clash:
    """One field that means one thing in BVLC's schema and another in a fork's."""

    message: str
    field: str
    what: str
    """number, type, list or default."""
    bvlc: str
    fork: str

    def __str__(self) -> str:
        return f"{self.message}.{self.field} {self.what} {self.bvlc} -> {self.fork}"


def clashes(fork: Message) -> Iterator[Clash]:
    """Yield how the fields of a fork's file, whole or a fragment, differ from BVLC's.

    Until 2014 LayerParameter was what V1LayerParameter is since.
    """
    messages = dict(fork.messages)
    net = {one.name: one.type for one in messages.get("NetParameter", Message("")).fields}
    if net.get("layers") == "LayerParameter":
        messages["V1LayerParameter"] = messages.pop("LayerParameter")
    yield from _clashes([replace(fork, messages=messages)], [BASE], "")


def _clashes(scopes: Sequence[Message], base: Sequence[Message], path: str) -> Iterator[Clash]:
    known = {one.name: one for one in base[-1].fields}
    for field in scopes[-1].fields:
        if old := known.get(field.name):
            for what, before, after in _differences(field, scopes, old, base):
                yield Clash(path, field.name, what, before, after)
    for name, message in scopes[-1].messages.items():
        if name in base[-1].messages:
            inner = f"{path}.{name}".lstrip(".")
            yield from _clashes([*scopes, message], [*base, base[-1].messages[name]], inner)


def _differences(
    field: Field, scopes: Sequence[Message], old: Field, base: Sequence[Message]
) -> Iterator[tuple[str, str, str]]:
    if field.number != old.number:
        yield "number", str(old.number), str(field.number)
    kinds = [old.type.rpartition(".")[2], field.type.rpartition(".")[2]]
    if kinds[0] != kinds[1] and not INTEGERS.issuperset(kinds):
        yield "type", *kinds
    if old.label == REPEATED:
        return
    if field.label == REPEATED:
        yield "list", "one", "several"
    elif kinds[0] == kinds[1] or INTEGERS.issuperset(kinds):
        own = _default(field, scopes, base)
        if (before := default(old, base)) != own:
            yield "default", f"{before}" or '""', f"{own}" or '""'


def _default(field: Field, scopes: Sequence[Message], base: Sequence[Message]) -> str | float:
    """Return a default: a whole file's by its own enums, a fragment's by those over BVLC's."""
    if is_whole(scopes[0]):
        return default(field, scopes)
    return default(field, [one.over(two) for one, two in zip(scopes, base, strict=True)])
