"""Text prototxt: each layer is parsed by protobuf against the message of its own dialect."""

from __future__ import annotations

import ast
import difflib
import re
from dataclasses import dataclass

from google.protobuf import text_format
from google.protobuf.message import Message

from prototxt import scan, schema
from prototxt.errors import FormatError
from prototxt.net import Net

_UNKNOWN = re.compile(r'Message type "caffe\.([\w.]+)" has no field named "([^"]+)"')
_TWICE = re.compile(r'Message type "caffe\.([\w.]+)" should not have multiple "([^"]+)" fields')
_SPLIT_SIGN = re.compile(rf"{scan.STRING}|#[^\n]*|(-)(\s+)(?=[\w.])")


def parse_text(
    text: str, source: str = "text", *, dialect: str | None = None, allow_unknown: bool = False
) -> Net:
    """Read a network's text as it stands: nothing is upgraded or filtered.

    A field is known if BVLC or a fork that knows the layer's type has it. FormatError names the
    line and column; with `allow_unknown` an unknown field is passed over and listed in the Net.
    """
    scan.refuse_no_text(text, source)
    parser = _Parser(text, source, dialect, allow_unknown)
    entries = list(scan.entries(text, source))
    net = Net(parser.header(entries), [], source)
    line, at = 1, 0
    for entry in entries:
        if entry.name not in _LAYERS:
            continue
        for span in entry.messages:
            line, at = line + text.count("\n", at, span.start), span.start
            net.layers.append(parser.layer(_LAYERS[entry.name], span))
            net.lines.append(line)
    net.unknown = parser.unknown
    return net


_LAYERS = {"layer": "LayerParameter", "layers": "V1LayerParameter"}


@dataclass(frozen=True)
class _Failure:
    """Why one dialect does not read a span: where, and what protobuf says."""

    at: int
    message: str
    unknown: str = ""


class _Parser:
    def __init__(self, text: str, source: str, dialect: str | None, allow_unknown: bool) -> None:
        self.text, self.source = text, source
        self.dialect, self.allow_unknown = dialect, allow_unknown
        self.unknown: list[str] = []

    def layer(self, kind: str, span: scan.Span) -> Message:
        return self._first_fit(kind, _literal(span.type), self.text[span.start : span.end], span.start)

    def header(self, entries: list[scan.Entry]) -> Message:
        """Parse the other fields, each left on its line and column."""
        kept: list[str] = []
        at = 0
        for entry in entries:
            if entry.name in _LAYERS and entry.messages:
                continue
            lines = self.text.count("\n", at, entry.start)
            blanks = entry.start - max(at, self.text.rfind("\n", 0, entry.start) + 1)
            kept += ["\n" * lines, " " * blanks, self.text[entry.start : entry.end]]
            at = entry.end
        return self._first_fit("NetParameter", "", "".join(kept), 0)

    def _first_fit(self, name: str, layer_type: str, text: str, start: int) -> Message:
        """Give the first dialect's message that reads the text, else the best one's error."""
        failures: list[_Failure] = []
        for dialect in schema.candidates(layer_type, self.dialect):
            message = dialect.message(name)()
            failure = _parse(text, message)
            if failure is None:
                return message
            failures.append(failure)
        raise FormatError(f"{self.source}: {failures[0].message}")


def _parse(text: str, message: Message) -> _Failure | None:
    try:
        text_format.Parse(text, message)
    except text_format.ParseError as error:
        return _Failure(0, str(error))
    return None


def _literal(written: str) -> str:
    """Give the value of a string literal or of adjacent ones; a bare word is itself."""
    parts = re.findall(scan.STRING, written)
    return "".join(ast.literal_eval(part) for part in parts) if parts else written
