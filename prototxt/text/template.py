"""Templates: definitions with placeholders, which their authors' scripts fill in.

A placeholder is `${NAME}`, `$NAME$` or `$NAME` anywhere but in a comment, `{NAME}` where no message
can stand, or a bare word where a value stands, as `cls3x` in `num_output: cls3x`. The value of a
field may be a bare word of its own too: an enum's value, true, inf. Templates of Python's `format`
double every other brace.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from prototxt.errors import FormatError
from prototxt.schema import SHIPPED, Schema

from .literals import STRING

WORDS = ("true", "false", "t", "f", "inf", "infinity", "nan")
"""Values that are words in any field, in any case."""

MARKED = re.compile(r"\$(?:\{(\w+)\}|(\w+)\$|([A-Za-z_]\w*))|\{(\w+)\}")

_TOKEN = re.compile(rf"#[^\n]*|{STRING}|{MARKED.pattern}|[\w.]+|\S")
_FORMAT = re.compile(
    rf"#[^\n]*|{STRING}|\{{\{{|\}}\}}|(?<!\$)\{{(?P<name>\w+)(?:[:!][^{{}}\n]*)?\}}"
)
_WORD = re.compile(r"[A-Za-z_]\w*")
_FIELD = re.compile(r"(?:\s|#[^\n]*)*[:{<]")


def marked_name(match: re.Match[str]) -> str:
    """Return the name of the placeholder that MARKED matched."""
    return str(next(filter(None, match.groups())))


def without_doubled_braces(text: str) -> str:
    """Give a template of Python's `format` with each doubled brace made one, all at their columns.

    Doubled braces open nothing in a definition; without a placeholder between them they are a slip
    of the pen, which is left to be refused.
    """
    if "{{" not in text:
        return text
    tokens = list(_FORMAT.finditer(text))
    if "{{" not in map(re.Match.group, tokens) or not any(match["name"] for match in tokens):
        return text
    return _FORMAT.sub(_single, text)


def _single(match: re.Match[str]) -> str:
    token = match.group()
    if token in ("{{", "}}"):
        return token[0].ljust(2)
    return f"{{{match['name']}}}".ljust(len(token)) if match["name"] else token


def fill(text: str, values: Mapping[str, str], source: str, schema: Schema = SHIPPED) -> str:
    """Return the text with the placeholders that have a value replaced by it, as it is written.

    FormatError for a value of several lines, for one whose placeholder is not in the text, and for
    an empty one of a bare word. A placeholder without a value stays.
    """
    if not values:
        return text
    for name, value in values.items():
        if "\n" in value:
            raise FormatError(f"{source}: the value of {name!r} is of several lines, wants one")
    found = list(_placeholders(text, schema, values))
    if unknown := [name for name in values if name not in {name for name, _, _ in found}]:
        raise FormatError(f"{source}: no placeholder is named {unknown[0]!r}", fix=_known(found))
    parts, at = [], 0
    for name, start, end in found:
        value = values.get(name, text[start:end])
        if text[start:end] == name and not value.strip():
            raise FormatError(f"{source}: the value of {name!r} is empty, wants a field's value")
        parts += [text[at:start], value]
        at = end
    return "".join([*parts, text[at:]])


def _known(found: list[tuple[str, int, int]]) -> str:
    names = ", ".join(dict.fromkeys(name for name, _, _ in found))
    return f"the placeholders are {names}" if names else "it has none: give no values"


def _placeholders(
    text: str, schema: Schema, values: Mapping[str, str]
) -> Iterator[tuple[str, int, int]]:
    """Yield each placeholder's name, its start and its end, in order.

    A string may hold braces of its own: there only names that have a value are placeholders.
    """
    spoken: frozenset[str] | None = None
    before = ""
    for match in _TOKEN.finditer(text):
        token = match.group()
        if token.startswith("#"):
            continue
        for marked in MARKED.finditer(token):
            start, end = (match.start() + at for at in marked.span())
            if marked[4] is None or token == marked[0] or marked[4] in values:
                yield marked_name(marked), start, end
        is_value = before in (":", "[", ",") and not _FIELD.match(text, match.end())
        if is_value and _WORD.fullmatch(token):
            spoken = schema.value_names() if spoken is None else spoken
            if token not in spoken and token.lower() not in WORDS:
                yield token, match.start(), match.end()
        before = token
