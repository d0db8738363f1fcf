"""Find the layers in a network's text before it is known whose fields they use."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from prototxt.errors import FormatError

from . import template
from .literals import STRING

MAX_DEPTH = 100  # of nested messages, as protobuf's binary parsers allow

_COMMENT = r"#[^\n]*(?![^\n])"  # to the end of its line and no shorter
_GAP = rf"(?:\s|{_COMMENT})*"
_BLANK = re.compile(_GAP)
_NOT_UTF8 = re.compile("[\ud800-\udfff]")  # as `surrogateescape` decodes it
_BRACED = re.compile(r"\{\w+\}")  # a placeholder: a message's field has a value
_NO_TEXT = re.compile(rf"{STRING}|#[^\n]*|//|\$\{{?\w*[}}$]?|{_BRACED.pattern}|[\ud800-\udfff]")
_NAME = re.compile(r"[A-Za-z_]\w*")
_SCALAR = re.compile(rf"(?:{STRING})(?:{_GAP}(?:{STRING}))*|-?\s*[\w.+-]+")
# Inside a message only what nests counts, and the layer's type.
_INSIDE = re.compile(rf"{STRING}|#[^\n]*|[{{}}<>]|[\"']|(?<![\w.])type(?![\w.])")
_TYPE = re.compile(rf"type{_GAP}:{_GAP}((?:(?:{STRING}|{_COMMENT})\s*)+|\w+)")


@dataclass(frozen=True)
class Span:
    """One message's place in the text: its content from `start` to `end`, braces left out.

    `type` is the literal as written: quoted in `layer`, bare in `layers`, "" if there is none.
    """

    start: int
    end: int
    type: str


@dataclass(frozen=True)
class Entry:
    """One field of the top level, from its name to the end of its value, and its messages."""

    name: str
    start: int
    end: int
    messages: tuple[Span, ...]


@dataclass(frozen=True)
class Placeholder:
    """A template's placeholder, and where it is; `alone` it stands where no value does."""

    at: int
    written: str
    alone: bool

    @property
    def problem(self) -> str:
        return f"{self.written} is a placeholder: this is a template, not a definition"

    @property
    def fix(self) -> str:
        """How to fill it in."""
        named = template.MARKED.fullmatch(self.written)
        if named is None:
            return "fill in the template's values"
        return f"give its value with --set {template.marked_name(named)}=..."

    def error(self, text: str, source: str) -> FormatError:
        """Return the error of a reader that wants none."""
        return error(text, self.at, source, self.problem, fix=self.fix)


def line_column(text: str, at: int) -> tuple[int, int]:
    """Return the line and column, from 1, of an offset."""
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def error(text: str, at: int, source: str, message: str, *, fix: str = "") -> FormatError:
    """Make a FormatError that names the place of an offset."""
    line, column = line_column(text, at)
    return FormatError(f"{source}:{line}:{column}: {message}", fix=fix)


def refuse_no_text(text: str, source: str) -> None:
    """Refuse what only a comment may hold: `//`, placeholders, bytes that are not UTF-8."""
    _, marked = without_placeholders(text, source)
    if marked:
        fix = "fill in the template's values"
        raise error(text, marked[0].at, source, marked[0].problem, fix=fix)


def without_placeholders(text: str, source: str) -> tuple[str, list[Placeholder]]:
    """Return the text with each placeholder as a word of its length, or blank where none can be.

    FormatError for what no template has either: a comment that begins with `//`, and bytes that are
    not UTF-8.
    """
    if text.startswith("\ufeff"):
        raise error(
            text, 0, source, "the text begins with a byte order mark", fix="save it as plain UTF-8"
        )
    not_utf8 = _NOT_UTF8.search(text)
    if not (not_utf8 or "$" in text or "//" in text or _BRACED.search(text)):
        return text, []
    marked: list[Placeholder] = []
    parts, end = [], 0
    for match in _NO_TEXT.finditer(text):
        found, at = match.group(), match.start()
        if not_utf8 and found[0] != "#" and (inside := _NOT_UTF8.search(found)):
            at += inside.start()
            raise error(text, at, source, "a byte that is not UTF-8", fix="save it as UTF-8")
        if found == "//":
            fix = "Caffe's comments begin with #"
            raise error(text, at, source, "a comment that begins with //", fix=fix)
        if found.startswith(("$", "{")):
            before = text[:at].rstrip()[-1:]
            alone = not (before in tuple(":[,") or re.match(r"[\w.+-]", text[at - 1 : at]))
            marked.append(Placeholder(at, found, alone))
            parts += [text[end:at], (" " if alone else "_") * len(found)]
            end = match.end()
    return "".join([*parts, text[end:]]), marked


def entries(text: str, source: str) -> Iterator[Entry]:
    """Yield every field of the top level, in file order."""
    return _fields(text, 0, source)


def _fields(text: str, at: int, source: str = "text") -> Iterator[Entry]:
    at = _skip(text, at)
    while at < len(text):
        match = _NAME.match(text, at)
        if match is None:
            raise error(text, at, source, f"{_token(text, at)} where a field's name belongs")
        name, start, end = match.group(), at, match.end()
        at = _skip(text, end)
        if text.startswith(":", at):
            at = _skip(text, at + 1)
        elif not text.startswith(("{", "<"), at):
            raise error(text, at, source, f"{_token(text, at)} after {name!r}, wants ':' or '{{'")
        messages: list[Span] = []
        if text.startswith("[", at):
            end = _list(text, at, source, messages)
        else:
            end = _value(text, at, source, messages)
        yield Entry(name, start, end, tuple(messages))
        at = _skip(text, end)
        if text.startswith((",", ";"), at):
            at = _skip(text, at + 1)


def fields_at(text: str, at: int) -> list[Entry]:
    """Return the fields around an offset, from the outermost to the innermost.

    There are none where the text around it is no list of fields.
    """
    found: list[Entry] = []
    start, end = 0, len(text)
    while True:
        try:
            fields = _fields(text[:end], start)
            around = next((one for one in fields if one.start <= at < one.end), None)
        except FormatError:
            return []
        if around is None:
            return found
        found.append(around)
        span = next((one for one in around.messages if one.start <= at < one.end), None)
        if span is None:
            return found
        start, end = span.start, span.end


def blank_field(text: str, at: int) -> str:
    """Return the text with the field whose name stands here blanked out."""
    name = _NAME.match(text, at)
    value = _skip(text, name.end() if name else at)
    if text.startswith(":", value):
        value = _skip(text, value + 1)
    listed = text.startswith("[", value)
    end = (_list if listed else _value)(text, value, "text", [])
    if separator := re.compile(r"\s*[,;]").match(text, end):
        end = separator.end()
    return text[:at] + re.sub(r"[^\n]", " ", text[at:end]) + text[end:]


def _list(text: str, at: int, source: str, messages: list[Span]) -> int:
    at = _skip(text, at + 1)
    while not text.startswith("]", at):
        at = _skip(text, _value(text, at, source, messages))
        if text.startswith(",", at):
            at = _skip(text, at + 1)
        elif not text.startswith("]", at):
            raise error(text, at, source, f"{_token(text, at)} in a list, wants ',' or ']'")
    return at + 1


def _value(text: str, at: int, source: str, messages: list[Span]) -> int:
    if text.startswith(("{", "<"), at):
        end, layer_type = _message(text, at, source)
        messages.append(Span(at + 1, end - 1, layer_type))
        return end
    if scalar := _SCALAR.match(text, at):
        return scalar.end()
    raise error(text, at, source, f"{_token(text, at)} where a value belongs")


def _skip(text: str, at: int) -> int:
    match = _BLANK.match(text, at)
    return match.end() if match else at


def _token(text: str, at: int) -> str:
    if at >= len(text):
        return "the end of the file"
    match = re.compile(rf"{STRING}|[\w.]+|.", re.DOTALL).match(text, at)
    return repr(match.group()) if match else repr(text[at])


def _message(text: str, at: int, source: str) -> tuple[int, str]:
    """Return the offset after the message that opens here, and its `type`'s literal."""
    layer_type, open_at = "", [at]
    end = at + 1
    while match := _INSIDE.search(text, end):
        found, end = match.group(), match.end()
        if found in ("{", "<"):
            open_at.append(match.start())
            if len(open_at) > MAX_DEPTH:
                raise error(text, match.start(), source, f"more than {MAX_DEPTH} nested messages")
        elif found in ("}", ">"):
            opened = open_at.pop()
            if text[opened] + found not in ("{}", "<>"):
                line, _ = line_column(text, opened)
                message = f"{found!r} closes the {text[opened]!r} of line {line}"
                raise error(text, match.start(), source, message)
            if not open_at:
                return end, layer_type
        elif found == "type" and len(open_at) == 1 and not layer_type:
            if typed := _TYPE.match(text, match.start()):
                layer_type, end = typed.group(1).strip(), typed.end()
        elif found in ('"', "'"):
            raise error(text, match.start(), source, "a string that does not end on its line")
    line, _ = line_column(text, open_at[-1])
    message = f"the file ends inside the {text[open_at[-1]]!r} of line {line}"
    raise error(text, len(text), source, message)
