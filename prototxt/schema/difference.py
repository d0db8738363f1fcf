"""What a fork's whole schema has that BVLC's lacks, or has otherwise.

A fork publishes its whole `caffe.proto`, most of which is BVLC's of some year. What differs is a
fragment like those that are shipped: messages, fields and enum values that BVLC lacks, and those of
another number, type, label or default. What BVLC alone has stays BVLC's.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from .definitions import REPEATED, Enum, Field, Message
from .layer_types import NAMES

UNKNOWN = 90001
"""Numbers from here on stand for ones that are not known: no file has them."""

_INTEGERS = ("int32", "int64", "uint32", "uint64")
_ZEROS = {"bool": "false", "string": "", "bytes": ""}
_NET, _LAYER, _V1 = "NetParameter", "LayerParameter", "V1LayerParameter"


def is_whole(schema: Message) -> bool:
    """Tell whether a file defines networks from the start, and so is no fragment."""
    fields = {field.name for field in schema.messages.get(_NET, Message(_NET)).fields}
    return "name" in fields and not fields.isdisjoint(("layer", "layers"))


def difference(fork: Message, base: Message) -> Message:
    """Return what a fork's whole schema has beyond that of `base`, or other than there.

    Messages that neither a network nor a solver can hold are left out. The layer types that it
    claims are those of its own messages and of V1's enum.
    """
    fork = _named_as_today(fork)
    root = _beyond([fork], [base])
    used = set(_reachable(root, base))
    for name in [name for name in root.messages if name not in used]:
        del root.messages[name]
    layer = root.messages.setdefault(_LAYER, Message(_LAYER))
    layer.layer_types = frozenset(_claimed(root, base)) - base.messages[_LAYER].layer_types
    layer.fields += _of_v1_alone(root, base)
    if _is_empty(layer):
        del root.messages[_LAYER]
    return root


def default(field: Field, scopes: Sequence[Message]) -> str | float:
    """Return what a field is where it is not set; "" for a message.

    `scopes` are the file and the messages around the field, the innermost last.
    """
    written = field.default
    if written is None:
        if enum := _enum(field.type, scopes):
            return next(iter(enum.values), "")
        written = _ZEROS.get(field.type, "0" if field.type.islower() else "")
    try:
        return float(written)
    except ValueError:
        return written


def _enum(name: str, scopes: Sequence[Message]) -> Enum | None:
    *path, last = name.removeprefix(".").removeprefix("caffe.").split(".")
    for scope in reversed(scopes):
        found: Message | None = scope
        for step in path:
            found = found.messages.get(step) if found else None
        if found and last in found.enums:
            return found.enums[last]
    return None


def _named_as_today(fork: Message) -> Message:
    """Return the schema with V1's layers under their later name: once they were the only ones."""
    layers = next((one for one in fork.messages[_NET].fields if one.name == "layers"), None)
    if layers is None or layers.type != _LAYER or _V1 in fork.messages:
        return fork
    messages = {}
    for message in fork.messages.values():
        name = _V1 if message.name == _LAYER else message.name
        fields = [replace(one, type=_V1) if one.type == _LAYER else one for one in message.fields]
        messages[name] = replace(message, name=name, fields=fields)
    return replace(fork, messages=messages)


def _of_v1_alone(root: Message, base: Message) -> list[Field]:
    """Return the fields of V1's layers for today's, which they are upgraded to.

    Where the fork's own has none of that name, they get numbers that no file has.
    """
    today = [*base.messages[_LAYER].fields, *root.messages[_LAYER].fields]
    names = {field.name for field in today}
    old = [one for one in root.messages.get(_V1, Message(_V1)).fields if one.name not in names]
    first = max([UNKNOWN, *(field.number + 1 for field in today)])
    return [replace(field, number=number) for number, field in enumerate(old, first)]


def _beyond(scopes: list[Message], base_scopes: list[Message]) -> Message:
    """Return what a message, or a file, has beyond another one of its name: the last of each."""
    fork, base = scopes[-1], base_scopes[-1]
    known = {field.name: field for field in base.fields}
    fields = []
    for field in fork.fields:
        same = known.get(field.name)
        if same is None:
            fields.append(field)
        elif not _agree(field, scopes, same, base_scopes):
            if same.label == REPEATED:  # readers take the list, also of one value
                field = replace(field, label=REPEATED, default=None)
            fields.append(replace(field, layer_types=same.layer_types, neutral=same.neutral))
    messages, enums = {}, {}
    for name, inner in fork.messages.items():
        old = base.messages.get(name)
        more = _beyond([*scopes, inner], [*base_scopes, old]) if old else inner
        if not old or not _is_empty(more):
            messages[name] = more
    for name, enum in fork.enums.items():
        values = base.enums[name].values if name in base.enums else {}
        new = {
            value: number for value, number in enum.values.items() if values.get(value) != number
        }
        if new:
            enums[name] = Enum(name, new)
    return Message(fork.name, fields, messages, enums, fork.redefines, fork.layer_types)


def _is_empty(message: Message) -> bool:
    return not (message.fields or message.messages or message.enums or message.layer_types)


def _agree(
    field: Field, scopes: Sequence[Message], old: Field, old_scopes: Sequence[Message]
) -> bool:
    """Tell whether two fields of a name mean the same on the wire, in text and where not set.

    What was one value and became a list (a convolution's kernel_size) is read by the list; whole
    numbers of other widths are the same where they fit.
    """
    if field.number != old.number or _kind(field.type) != _kind(old.type):
        return False
    if old.label == REPEATED:
        return True
    return field.label != REPEATED and default(field, scopes) == default(old, old_scopes)


def _kind(name: str) -> str:
    """Return what tells a type's meaning: a message's or an enum's own name, for integers one."""
    return "integer" if name in _INTEGERS else name.rpartition(".")[2]


def _reachable(root: Message, base: Message) -> Iterator[str]:
    """Yield BVLC's messages, and those of a fragment that fields of theirs lead to."""
    ahead, seen = list(base.messages), set[str]()
    while ahead:
        name = ahead.pop()
        if name not in seen:
            seen.add(name)
            yield name
            if name in root.messages:
                ahead += _types_in(root.messages[name])


def _types_in(message: Message) -> Iterator[str]:
    for field in message.fields:
        yield field.type.removeprefix(".").removeprefix("caffe.").partition(".")[0]
    for inner in message.messages.values():
        yield from _types_in(inner)


def _claimed(root: Message, base: Message) -> Iterator[str]:
    """Name the layer types that a fork defines, as far as its schema tells.

    Messages of layers are called as their types, by Caffe's habit: BNParameter is of BN.
    """
    for name in (_LAYER, _V1):
        message = root.messages.get(name, Message(name))
        for field in message.fields:
            if field.type.endswith("Parameter") and field.type not in base.messages:
                yield field.type.removesuffix("Parameter")
        for value in message.enums.get("LayerType", Enum("LayerType")).values:
            yield NAMES.get(value, value)
