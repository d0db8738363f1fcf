"""Text prototxt: each layer is parsed by protobuf against the message of its own dialect."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from google.protobuf import text_encoding, text_format
from google.protobuf.message import Message

from prototxt.errors import FormatError
from prototxt.faults import Fault
from prototxt.net import Net
from prototxt.schema import SHIPPED, Dialect, Schema
from prototxt.schema.layer_types import NAMES
from prototxt.schema.recognize import recognize

from . import literals, scan, solver, template
from .message import Failure, read_message

NAMED = 3
"""How many forks a message names."""

_MESSAGES = {"layer": "LayerParameter", "layers": "V1LayerParameter"}


def parse_text(
    text: str,
    source: str = "text",
    *,
    dialect: str | None = None,
    allow_unknown: bool = False,
    strict: bool = True,
    values: Mapping[str, str] | None = None,
    schema: Schema = SHIPPED,
) -> Net:
    """Read a network's text as it stands: nothing is upgraded or filtered.

    A field is known if BVLC or a fork that knows the layer's type has it.

    Args:
        text: the network's text.
        source: how errors call it.
        dialect: the fork by whose reading a field is taken where several fit.
        allow_unknown: an unknown field is passed over and listed in the Net.
        strict: where it is False, what else of a text that is one does not read is left out and
            listed in the Net's `faults`.
        values: what fills a template's placeholders.
        schema: the dialects that it may be of.

    Raises FormatError, with the line and column.
    """
    text = template.fill(template.without_doubled_braces(text), values or {}, source, schema)
    text, marked = scan.without_placeholders(text, source)
    try:
        entries = list(scan.entries(text, source))
    except FormatError:
        if marked:
            raise marked[0].error(text, source) from None
        raise
    if (own := solver.network_of(entries, text, source, schema)) is not None:
        inner = parse_text(
            own, source, dialect=dialect, allow_unknown=allow_unknown, strict=strict, schema=schema
        )
        return replace(inner, dropped=["the solver around its net_param"])
    parser = _Parser(text, source, schema, dialect, allow_unknown, values or {}, marked)
    net = Net(parser.header(entries), [], source, schema=schema)
    line, at = 1, 0
    for entry in entries:
        for span in entry.messages if entry.name in _MESSAGES else ():
            line, at = line + text.count("\n", at, span.start), span.start
            net.layers.append(parser.layer(_MESSAGES[entry.name], span, line))
            net.lines.append(line)
    net.faults = sorted(parser.faults, key=lambda one: one.kind != "placeholder")
    if allow_unknown:
        net = net.passing_over_unknown()
    if strict:
        net.refuse_faults()
    net.dialects = recognize([net.header, *net.layers], schema)
    return net


def parse_message(
    text: str, name: str, source: str = "text", *, schema: Schema = SHIPPED
) -> Message:
    """Read the text of one whole message, as `SolverParameter`."""
    scan.refuse_no_text(text, source)
    parser = _Parser(text, source, schema)
    message = parser.first_fit(name, "", text, 0)
    if parser.faults:
        raise parser.faults[0].error()
    return message


def format_text(net: Net) -> str:
    """Write a network as Caffe reads it: the header's fields, then the layers in order."""
    parts = [format_message(net.header)] if net.header.ByteSize() else []
    for layer in net.layers:
        name = "layer" if layer.DESCRIPTOR.name == "LayerParameter" else "layers"
        lines = format_message(layer).splitlines(keepends=True)
        parts.append(f"{name} {{\n{''.join('  ' + line for line in lines)}}}\n")
    return "".join(parts)


@dataclass
class _Parser:
    """Reads one text; `faults` are what it left out, `marked` the placeholders that it has."""

    text: str
    source: str
    schema: Schema
    dialect: str | None = None
    allow_unknown: bool = False
    values: Mapping[str, str] = field(default_factory=dict)
    marked: Sequence[scan.Placeholder] = ()
    faults: list[Fault] = field(default_factory=list)

    def layer(self, name: str, span: scan.Span, line: int) -> Message:
        written = _literal(span.type)
        layer_type = NAMES.get(written, written) if name == "V1LayerParameter" else written
        before = len(self.faults)
        marked = [one for one in self.marked if span.start <= one.at < span.end]
        text = self.text[span.start : span.end]
        message = self.first_fit(name, layer_type, text, span.start, marked)
        outer: Any = message
        inner = getattr(outer, "layer", outer)  # V0 has one layer inside another
        for index, fault in enumerate(self.faults[before:], before):
            self.faults[index] = replace(
                fault, layer=inner.name or outer.name, type=layer_type, line=line
            )
        return message

    def header(self, entries: list[scan.Entry]) -> Message:
        """Parse the other fields, each left at its offset."""
        kept, at = [], 0
        inside: list[scan.Span] = []
        for entry in entries:
            if entry.name in _MESSAGES and entry.messages:
                inside += entry.messages
            else:
                kept += [" " * (entry.start - at), self.text[entry.start : entry.end]]
                at = entry.end
        marked = [one for one in self.marked if not any(s.start <= one.at < s.end for s in inside)]
        return self.first_fit("NetParameter", "", "".join(kept), 0, marked)

    def first_fit(
        self,
        name: str,
        layer_type: str,
        text: str,
        start: int,
        marked: Sequence[scan.Placeholder] = (),
    ) -> Message:
        """Return the first dialect's message that reads the text, else the best one's.

        What does not read is left out, field by field, and becomes a fault.
        """
        for one in marked:
            around = scan.fields_at(text, one.at - start)
            fault = self.placeholder(one, name, around)
            if not (one.alone or around):
                raise fault.error()
            self.faults.append(fault)
            if not one.alone:
                text = scan.blank_field(text, around[-1].start)
        best: tuple[Message, Failure, Dialect] | None = None
        for dialect in self.dialects(name, layer_type, text):
            message, failure = self.read_as(dialect, name, layer_type, text)
            if failure is None:
                return message
            if best is None or failure.at > best[1].at:
                best = message, failure, dialect
        assert best is not None
        message, failure, dialect = best
        before = len(self.faults)
        while failure is not None:
            fault = self.fault(failure, name, layer_type, text, start)
            around = scan.fields_at(text, failure.at) if failure.one_field else []
            if not around:  # it may be broken by what was left out before
                refused = (
                    one
                    for one in [*self.faults[before:], fault]
                    if one.kind != "field" or not self.allow_unknown
                )
                raise next(refused, fault).error()
            self.faults.append(fault)
            text = scan.blank_field(text, around[-1].start)
            message, failure = self.read_as(dialect, name, layer_type, text)
        return message

    def dialects(self, name: str, layer_type: str, text: str) -> Iterator[Dialect]:
        """Yield the dialects to read a message by: those that have the name that BVLC lacks."""
        lacking = ""
        every = chain(
            self.schema.candidates(layer_type, self.dialect),
            self.schema.further_candidates(layer_type, self.dialect),
        )
        for tried, dialect in enumerate(every):
            if tried == 1:  # most texts are read by the first
                _, failure = read_message(text, self.schema.dialect("bvlc").message(name))
                lacking = failure.name if failure else ""
            if not lacking or lacking in dialect.fragment.words:
                yield dialect

    def read_as(
        self, dialect: Dialect, name: str, layer_type: str, text: str
    ) -> tuple[Message, Failure | None]:
        """Return the message of a text in a dialect, and why it is not one of that type there."""
        message, failure = read_message(text, dialect.message(name))
        if failure is None:
            foreign = self.schema.misplaced_field(dialect.name, layer_type, message)
            if foreign:
                at = next(one.start for one in scan.entries(text, "") if one.name == foreign)
                failure = Failure(at, f"{foreign!r} is no field of a {layer_type} layer")
        return message, failure

    def placeholder(self, one: scan.Placeholder, name: str, fields: Sequence[scan.Entry]) -> Fault:
        place, path = self.place(one.at), ".".join(one.name for one in fields)
        messages = self.messages(name, fields)
        return Fault("placeholder", place, one.problem, one.fix, one.written, path, messages)

    def messages(self, name: str, fields: Sequence[scan.Entry]) -> tuple[str, ...]:
        """Return the types of the messages around a field, where any schema has them."""
        if name == "NetParameter":
            return ()
        found = [name]
        for one in fields[:-1]:
            types = (
                inner.message_type.name
                for dialect in self.schema.dialects
                if one.name in dialect.fragment.words
                and (outer := dialect.find(found[-1])) is not None
                and (inner := outer.fields_by_name.get(one.name)) is not None
                and inner.message_type is not None
            )
            found.append(next(types, one.name))
        return tuple(found)

    def fault(self, failure: Failure, name: str, layer_type: str, text: str, start: int) -> Fault:
        """Say what does not read of a layer of some type, or of the network's header."""
        problem, fix = failure.message, failure.fix
        if failure.unknown and (elsewhere := self.elsewhere(failure.unknown, layer_type)):
            problem, fix = elsewhere, ""
        if failure.unknown and not fix and name != "SolverParameter":
            fix = self.remedy(name, layer_type, text)
        given = [name for name, value in self.values.items() if value.strip() == failure.word]
        if failure.word and given:
            problem = f"{problem}: it is the value given for {given[0]!r}"
            fix = f"give a number with --set {given[0]}=..."
        fields = scan.fields_at(text, failure.at)
        return Fault(
            "field" if failure.unknown else "value",
            self.place(start + failure.at),
            problem,
            fix,
            failure.unknown,
            ".".join(one.name for one in fields),
            self.messages(name, fields),
        )

    def elsewhere(self, unknown: str, layer_type: str) -> str:
        """Say of which forks, and maybe which other layers, a field is; "" if of none."""
        message, _, name = unknown.rpartition(".")
        having = [
            one
            for one in self.schema.dialects
            if name in one.fragment.words
            and (found := one.find(message)) is not None
            and name in found.fields_by_name
        ]
        if not having:
            return ""
        having = having[:1] if having[0].name == "bvlc" else having  # all forks have BVLC's
        more = f" and {len(having) - NAMED} more" if len(having) > NAMED else ""
        forks = ", ".join(one.name for one in having[:NAMED]) + more
        types = sorted({kind for one in having for kind in one.owners.get(name, ())})
        if types and layer_type:
            of = f"in {forks} it is for {', '.join(types)}"
            return f"a layer of type {layer_type} has no field {name!r}, {of}"
        return f"{message} has no field {name!r} beside the others here, but in {forks}"

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
