"""Write definitions as the text of a schema file: a fragment that can be shipped."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .definitions import OPTIONAL, REPEATED, REQUIRED, Enum, Field, Message

_LABELS = {OPTIONAL: "optional", REQUIRED: "required", REPEATED: "repeated"}
_WIDTH = 100
_BARE = re.compile(r"[-+.\w]+")


def write(schema: Message, comment: str) -> str:
    """Return the text of a fragment, which `reader.read` reads; `comment` says whose it is."""
    lines = [*(f"// {line}".rstrip() for line in comment.splitlines()), 'syntax = "proto2";']
    lines.append("package caffe;")
    lines += [f'import "{name}";' for name in schema.imports]
    lines += ["option (union) = true;"] if schema.is_union else []
    for enum in schema.enums.values():
        lines += ["", *_enum(enum, "")]
    for message in schema.messages.values():
        lines += ["", *_message(message, "")]
    return "\n".join(lines) + "\n"


def _message(message: Message, margin: str) -> Iterator[str]:
    if message == Message(message.name):
        yield f"{margin}message {message.name} {{}}"
        return
    yield f"{margin}message {message.name} {{"
    inner = f"{margin}  "
    if message.redefines:
        yield f"{inner}option (redefines) = true;"
    if message.layer_types:
        yield from _types(sorted(message.layer_types), inner)
    for enum in message.enums.values():
        yield from _enum(enum, inner)
    for each in message.messages.values():
        yield from _message(each, inner)
    for field in message.fields:
        yield from _field(field, inner)
    yield f"{margin}}}"


def _types(types: list[str], margin: str) -> Iterator[str]:
    lines: list[str] = []
    line = ""
    for name in types:
        if len(f'{margin}    "{line}{name} "') > _WIDTH:
            lines, line = [*lines, line], ""
        line += f"{name} "
    quoted = [f'"{each}"' for each in [*lines, line.rstrip()]]
    whole = f"{margin}option (type) = {quoted[0]};"
    if len(quoted) == 1 and len(whole) <= _WIDTH:
        yield whole
        return
    yield f"{margin}option (type) ="
    yield from (f"{margin}    {each}" for each in quoted[:-1])
    yield f"{margin}    {quoted[-1]};"


def _enum(enum: Enum, margin: str) -> Iterator[str]:
    values = [f"{name} = {number};" for name, number in enum.values.items()]
    line = f"{margin}enum {enum.name} {{ {' '.join(values)} }}"
    if len(line) <= _WIDTH:
        yield line
        return
    yield f"{margin}enum {enum.name} {{"
    yield from (f"{margin}  {value}" for value in values)
    yield f"{margin}}}"


def _field(field: Field, margin: str) -> Iterator[str]:
    options = []
    if field.default is not None:
        quoted = field.type in ("string", "bytes") or not _BARE.fullmatch(field.default)
        options.append(f'default = "{field.default}"' if quoted else f"default = {field.default}")
    if field.packed:
        options.append("packed = true")
    if field.layer_types:
        options.append(f'(type) = "{" ".join(sorted(field.layer_types))}"')
    if field.neutral:
        options.append(f"(neutral) = {field.neutral}")
    line = f"{margin}{_LABELS[field.label]} {field.type} {field.name}"
    rest = f"= {field.number}" + (f" [{', '.join(options)}]" if options else "")
    if len(f"{line} {rest};") <= _WIDTH:
        yield f"{line} {rest};"
        return
    yield line
    yield f"{margin}    {rest};"
