"""Text prototxt: each layer is parsed by protobuf against the message of its own dialect."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from google.protobuf import text_encoding, text_format
from google.protobuf.message import Message

from prototxt.net import Net
from prototxt.schema import SHIPPED, Dialect, Schema
from prototxt.schema.layer_types import NAMES
from prototxt.schema.recognize import recognize
from prototxt.spelling import meant

from . import literals, scan, solver, template

_MESSAGES = {"layer": "LayerParameter", "layers": "V1LayerParameter"}

# What protobuf's parser says, and what the layer's author needs to hear.
_UNKNOWN = re.compile(r'Message type "caffe\.([\w.]+)" has no field named "([^"]+)"')
_TWICE = re.compile(r'Message type "caffe\.([\w.]+)" should not have multiple "([^"]+)" fields')
_VALUE = re.compile(r'Enum type "caffe\.([\w.]+)" has no value (?:named|with number) (.+)')
_NUMBER = re.compile(r"Couldn't parse (integer|float): (.+)")
_OCTAL = re.compile("Invalid octal float")
_RANGE = re.compile(r"Value out of range: (.+)")


def parse_text(
    text: str,
    source: str = "text",
    *,
    dialect: str | None = None,
    allow_unknown: bool = False,
    values: Mapping[str, str] | None = None,
    schema: Schema = SHIPPED,
) -> Net:
    """Read a network's text as it stands: nothing is upgraded or filtered.

    A field is known if BVLC or a fork that knows the layer's type has it. `values` are those of a
    template's placeholders. FormatError names the line and column; with `allow_unknown` an unknown
    field is passed over and listed in the Net.
    """
    text = template.fill(template.without_doubled_braces(text), values or {}, source, schema)
    scan.refuse_no_text(text, source)
    entries = list(scan.entries(text, source))
    if (own := solver.network_of(entries, text, source, schema)) is not None:
        return replace(
            parse_text(own, source, dialect=dialect, allow_unknown=allow_unknown, schema=schema),
            dropped=["the solver around its net_param"],
        )
    parser = _Parser(text, source, schema, dialect, allow_unknown, values or {})
    net = Net(parser.header(entries), [], source, unknown=parser.unknown, schema=schema)
    line, at = 1, 0
    for entry in entries:
        for span in entry.messages if entry.name in _MESSAGES else ():
            line, at = line + text.count("\n", at, span.start), span.start
            net.layers.append(parser.layer(_MESSAGES[entry.name], span))
            net.lines.append(line)
    net.dialects = recognize([net.header, *net.layers], schema)
    return net


def parse_message(
    text: str, name: str, source: str = "text", *, schema: Schema = SHIPPED
) -> Message:
    """Read the text of one whole message, as `SolverParameter`."""
    scan.refuse_no_text(text, source, is_net=False)
    return _Parser(text, source, schema, None, False).first_fit(name, "", text, 0)


def format_text(net: Net) -> str:
    """Write a network as Caffe reads it: the header's fields, then the layers in order."""
    parts = [format_message(net.header)] if net.header.ByteSize() else []
    for layer in net.layers:
        name = "layer" if layer.DESCRIPTOR.name == "LayerParameter" else "layers"
        lines = format_message(layer).splitlines(keepends=True)
        parts.append(f"{name} {{\n{''.join('  ' + line for line in lines)}}}\n")
    return "".join(parts)


@dataclass
class _Failure:
    """Why a message does not read a span: where, what it says, the field that it lacks.

    `word` is what stands in a number's place, `name` the field or the enum's value that is lacking.
    """

    at: int
    message: str
    fix: str = ""
    unknown: str = ""
    word: str = ""
    name: str = ""


@dataclass
class _Parser:
    text: str
    source: str
    schema: Schema
    dialect: str | None
    allow_unknown: bool
    values: Mapping[str, str] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)

    def layer(self, name: str, span: scan.Span) -> Message:
        layer_type = _literal(span.type)
        layer_type = NAMES.get(layer_type, layer_type) if name == "V1LayerParameter" else layer_type
        return self.first_fit(name, layer_type, self.text[span.start : span.end], span.start)

    def header(self, entries: list[scan.Entry]) -> Message:
        """Parse the other fields, each left at its offset."""
        kept, at = [], 0
        for entry in entries:
            if not (entry.name in _MESSAGES and entry.messages):
                kept += [" " * (entry.start - at), self.text[entry.start : entry.end]]
                at = entry.end
        return self.first_fit("NetParameter", "", "".join(kept), 0)

    def first_fit(self, name: str, layer_type: str, text: str, start: int) -> Message:
        """Return the first dialect's message that reads the text, else the best one's error."""
        best: tuple[_Failure, Dialect] | None = None
        for dialect in self.dialects(name, layer_type, text):
            message, failure = _parse(text, dialect.message(name))
            if failure is None:
                if not (foreign := self.schema.foreign_field(dialect.name, layer_type, message)):
                    return message
                failure = _Failure(0, f"{foreign!r} is no field of a {layer_type} layer")
            if best is None or failure.at > best[0].at:
                best = failure, dialect
        assert best is not None
        failure, dialect = best
        skipped: list[str] = []
        while self.allow_unknown and failure.unknown:
            skipped.append(f"{self.place(start + failure.at)}: {failure.unknown}")
            text = scan.blank_field(text, failure.at)
            message, again = _parse(text, dialect.message(name))
            if again is None:
                self.unknown += skipped
                return message
            failure = again
        at = start + failure.at
        problem, fix = failure.message, failure.fix
        if failure.unknown and not fix and name != "SolverParameter":
            fix = self.remedy(name, layer_type, text)
        given = [name for name, value in self.values.items() if value.strip() == failure.word]
        if failure.word and given:
            problem = f"{problem}: it is the value given for {given[0]!r}"
            fix = f"give a number with --set {given[0]}=..."
        raise scan.error(self.text, at, self.source, problem, fix=fix)

    def dialects(self, name: str, layer_type: str, text: str) -> Iterator[Dialect]:
        """Yield the dialects to read a message by: those that have the name that BVLC lacks."""
        lacking = ""
        every = chain(
            self.schema.candidates(layer_type, self.dialect),
            self.schema.further_candidates(layer_type, self.dialect),
        )
        for tried, dialect in enumerate(every):
            if tried == 1:  # most texts are read by the first
                _, failure = _parse(text, self.schema.dialect("bvlc").message(name))
                lacking = failure.name if failure else ""
            if not lacking or lacking in dialect.fragment.words:
                yield dialect

    def remedy(self, name: str, layer_type: str, text: str) -> str:
        """Say whose an unknown field is, and what can be done about it."""
        where = ""
        if name != "NetParameter":
            if not layer_type:
                return ""
            named = re.search(rf"(?<![\w.])name\s*:\s*({literals.STRING})", text)
            where = f"it is of layer {_literal(named[1]) if named else ''!r} ({layer_type})"
            if not self.schema.knows_type(layer_type):
                return (
                    f"{where}, and no schema here knows that type either: --layers takes your own, "
                    "with a .proto beside it for its fields; `caffeport check` lists all that is "
                    "unknown"
                )
            where += "; "
        return (
            f"{where}--allow-unknown passes over it, and reports it; `caffeport check` lists all "
            "that is unknown"
        )

    def place(self, at: int) -> str:
        line, column = scan.line_column(self.text, at)
        return f"{self.source}:{line}:{column}"


def _parse(text: str, message_class: type[Message]) -> tuple[Message, _Failure | None]:
    message: Any = message_class()
    try:
        text = literals.settle(text)
        text_format.Parse(text, message)
    except literals.LiteralError as error:
        return message, _Failure(error.at, str(error))
    except text_format.ParseError as error:
        at = _offset(text, error.GetLine() or 1, error.GetColumn() or 1)
        problem = re.sub(r"^\d+:\d+ : ", "", str(error))
        problem = problem.removeprefix(f"'{text[at - _column(text, at) : _line_end(text, at)]}': ")
        problem = problem.removeprefix("'': ")
        return message, _explain(at, problem.rstrip("."), message)
    if (at_octal := literals.octal_float(text, message.DESCRIPTOR)) is not None:
        return message, _octal_float(at_octal)
    if missing := message.FindInitializationErrors():
        at = len(text) - len(text.lstrip())
        return message, _Failure(at, f"{missing[0]} is missing, it is required")
    return message, None


def _octal_float(at: int) -> _Failure:
    problem = "an octal number in a float field, which Caffe refuses"
    return _Failure(at, problem, "write it without the leading 0")


def _explain(at: int, problem: str, message: Message) -> _Failure:
    pool: Any = message.DESCRIPTOR.file.pool
    if match := _UNKNOWN.match(problem):
        known = pool.FindMessageTypeByName(f"caffe.{match[1]}").fields_by_name
        problem = f"{match[1]} has no field {match[2]!r}"
        fix = _closest(match[2], list(known))
        return _Failure(at, problem, fix, f"{match[1]}.{match[2]}", name=match[2])
    if match := _TWICE.match(problem):
        return _Failure(at, f"{match[2]!r} is given twice, {match[1]} takes it once")
    if match := _VALUE.match(problem):
        known = list(pool.FindEnumTypeByName(f"caffe.{match[1]}").values_by_name)
        name = match[1].rpartition(".")[2]
        if match[2].startswith(('"', "'")):
            return _Failure(at, f"{match[2]} is a string, wants a bare {name}")
        wants = f", wants {', '.join(known)}" if len(known) < 9 else ""
        fix = _closest(match[2], known)
        return _Failure(at, f"{name} has no value {match[2]}{wants}", fix, name=match[2])
    if match := _NUMBER.match(problem):
        wanted = "whole number" if match[1] == "integer" else "number"
        fix = word = ""
        if re.fullmatch(r"[A-Za-z_]\w*", match[2]) and match[2].lower() not in template.WORDS:
            is_net = message.DESCRIPTOR.name != "SolverParameter"
            how = f"give its value with --set {match[2]}=..." if is_net else "fill it in"
            fix, word = f"if it is a template's placeholder, {how}", match[2]
        return _Failure(at, f"{match[2]} where a {wanted} belongs", fix, word=word)
    if _OCTAL.match(problem):
        return _octal_float(at)
    if match := _RANGE.match(problem):
        return _Failure(at, f"{match[1]} is out of its field's range")
    return _Failure(at, problem.replace('"caffe.', '"'))


def _closest(word: str, known: list[str]) -> str:
    name = meant(word, known)
    return f"did you mean {name!r}?" if name else ""


def _offset(text: str, line: int, column: int) -> int:
    at = 0
    for _ in range(line - 1):
        at = text.find("\n", at) + 1
    return min(at + column - 1, len(text))


def _column(text: str, at: int) -> int:
    return at - (text.rfind("\n", 0, at) + 1)


def _line_end(text: str, at: int) -> int:
    end = text.find("\n", at)
    return len(text) if end < 0 else end


def _literal(written: str) -> str:
    """Return the value of a string literal or of adjacent ones; a bare word is itself.

    Comments may stand between the literals and after them.
    """
    if "\\" in written:
        with suppress(ValueError):  # an escape that Caffe refuses: the parser says where
            settled = literals.settle(written)
            return str(text_encoding.CUnescape(_joined(settled)).decode("utf-8"))
    return _joined(written) if written.startswith(('"', "'")) else written


def _joined(written: str) -> str:
    parts = re.findall(rf"#[^\n]*|{literals.STRING}", written)
    return "".join(part[1:-1] for part in parts if not part.startswith("#"))


def format_message(message: Message) -> str:
    """Write one message as text."""
    return text_format.MessageToString(message, as_utf8=False)
