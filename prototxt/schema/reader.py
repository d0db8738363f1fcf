"""Read schema text: the part of proto2 that Caffe and its forks use.

Beyond proto2 there are options of our own. `(type)` names the layer types, blank-separated,
that a field of LayerParameter belongs to; as an option of LayerParameter itself, types that the
dialect defines without a field of their own. `(neutral) = true` marks a fork's field that no
forward pass depends on (hints for an engine, changes to training images), `(neutral) = TEST` one
that matters in training alone. `option (redefines) = true;` makes a fork's message replace BVLC's
of that name; without it a fork's fields and enum values go over BVLC's, by name and by number.
`import "ssd.proto";` puts this file's definitions over those of a file beside it or of ours.
`option (union) = true;` of a file says that it is a converter's, which took over what forks had.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from prototxt.errors import FormatError

from .definitions import OPTIONAL, REPEATED, REQUIRED, Enum, Field, Message

_TOKEN = re.compile(
    r"""(?P<blank>\s+|//[^\n]*|/\*.*?\*/)
      | (?P<word>[A-Za-z_][\w.]*|\.[A-Za-z_][\w.]*)
      | (?P<number>[-+]?(?:0[xX][0-9a-fA-F]+|(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|inf|nan))
      | (?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<mark>[{}\[\]()=;,])""",
    re.VERBOSE | re.DOTALL,
)
_LABELS = {"optional": OPTIONAL, "required": REQUIRED, "repeated": REPEATED}


class _Reader:
    def __init__(self, text: str, source: str) -> None:
        self.text, self.source = text, source
        self.at = 0
        self.tokens = self._scan()
        self.kind, self.word = "", ""
        self.advance()

    def _scan(self) -> Iterator[tuple[str, str]]:
        end = 0
        for match in _TOKEN.finditer(self.text):
            if match.start() != end:
                break
            self.at, end = match.start(), match.end()
            if match.lastgroup != "blank":
                yield str(match.lastgroup), match.group()
        if end != len(self.text):
            self.at = end
            raise self.error(f"{self.text[end]!r} is no part of a schema")
        self.at = end
        yield "end", "the end of the file"

    def place(self) -> str:
        return f"{self.source}:{self.text.count(chr(10), 0, self.at) + 1}"

    def error(self, message: str) -> FormatError:
        return FormatError(f"{self.place()}: {message}")

    def advance(self) -> str:
        word = self.word
        self.kind, self.word = next(self.tokens)
        return word

    def accept(self, word: str) -> bool:
        if self.word == word and self.kind != "string":
            self.advance()
            return True
        return False

    def expect(self, word: str) -> None:
        if not self.accept(word):
            raise self.error(f"{self.word} where {word!r} belongs")

    def take(self, kind: str) -> str:
        if self.kind != kind:
            raise self.error(f"{self.word} where a {kind} belongs")
        return self.advance()

    def string(self) -> str:
        text = self.take("string")[1:-1]
        while self.kind == "string":
            text += self.advance()[1:-1]
        if "\\" in text:
            raise self.error(f"an escape in {text!r}, which a schema's strings do not need")
        return text

    def integer(self) -> int:
        digits = self.take("number")
        try:
            return int(digits, 0)
        except ValueError:
            raise self.error(f"{digits} is no whole number") from None

    def value(self) -> str:
        if self.kind == "string":
            return self.string()
        if self.kind in ("word", "number"):
            return self.advance()
        raise self.error(f"{self.word} where a value belongs")

    def option(self) -> tuple[str, str]:
        if self.accept("("):
            name = f"({self.take('word')})"
            self.expect(")")
        else:
            name = self.take("word")
        self.expect("=")
        return name, self.value()

    def file(self) -> Message:
        root = Message("")
        while self.kind != "end":
            if self.accept("syntax"):
                self.expect("=")
                if (syntax := self.string()) != "proto2":
                    raise self.error(f"syntax {syntax!r}, wants 'proto2'")
                self.expect(";")
            elif self.accept("package"):
                self.take("word")
                self.expect(";")
            elif self.accept("import"):
                root.imports.append(self.string())
                self.expect(";")
            elif self.accept("option"):
                root.is_union |= self.option() == ("(union)", "true")
                self.expect(";")
            elif not self.definition(root):
                raise self.error(f"{self.word} where a message or an enum belongs")
        return root

    def definition(self, into: Message) -> bool:
        if self.accept(";"):
            return True
        if self.accept("message"):
            name = self.take("word")
            into.messages[name] = self.message(name)
            return True
        if self.accept("enum"):
            name = self.take("word")
            into.enums[name] = self.enum(name)
            return True
        return False

    def message(self, name: str) -> Message:
        message = Message(name)
        self.expect("{")
        while not self.accept("}"):
            if self.word in _LABELS:
                message.fields.append(self.field(message))
            elif self.accept("option"):
                option, value = self.option()
                if option == "(type)":
                    message.layer_types |= frozenset(value.split())
                elif option == "(redefines)":
                    message.redefines = value == "true"
                self.expect(";")
            elif self.word in ("reserved", "extensions"):
                while not self.accept(";"):
                    if self.kind == "mark":
                        self.expect(",")
                    else:
                        self.value()
            elif not self.definition(message):
                raise self.error(f"{self.word} where a field of message {name} belongs")
        return message

    def enum(self, name: str) -> Enum:
        enum = Enum(name)
        self.expect("{")
        while not self.accept("}"):
            if self.accept("option"):
                self.option()
            else:
                value = self.take("word")
                self.expect("=")
                enum.values[value] = self.integer()
                if self.accept("["):
                    self.options()
            self.expect(";")
        return enum

    def options(self) -> list[tuple[str, str]]:
        options = [self.option()]
        while self.accept(","):
            options.append(self.option())
        self.expect("]")
        return options

    def field(self, message: Message) -> Field:
        place = self.place()
        label = _LABELS[self.advance()]
        type_name, name = self.take("word"), self.take("word")
        self.expect("=")
        field = Field(name, self.integer(), label, type_name, place)
        for other in message.fields:
            if name == other.name:
                raise FormatError(f"{place}: a second field {name}")
            if field.number == other.number:
                raise FormatError(f"{place}: field {name} has the number of {other.name}")
        for option, value in self.options() if self.accept("[") else ():
            if option == "default":
                field.default = value
            elif option == "packed":
                field.packed = value == "true"
            elif option == "(type)":
                field.layer_types |= frozenset(value.split())
            elif option == "(neutral)":
                if value not in ("true", "false", "TEST"):
                    raise FormatError(f"{place}: neutral is true, false or TEST, not {value}")
                field.neutral = value.removesuffix("false")
        self.expect(";")
        return field


def read(text: str, source: str) -> Message:
    """Read one schema file; FormatError names `source` and the line."""
    return _Reader(text, source).file()
