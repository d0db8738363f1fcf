"""One message read by protobuf's text parser, and why it does not read, as its author puts it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from google.protobuf import text_format
from google.protobuf.message import Message

from prototxt.spelling import meant

from . import literals, template

# What protobuf's parser says, and what the layer's author needs to hear.
_UNKNOWN = re.compile(r'Message type "caffe\.([\w.]+)" has no field named "([^"]+)"')
_TWICE = re.compile(r'Message type "caffe\.([\w.]+)" should not have multiple "([^"]+)" fields')
_VALUE = re.compile(r'Enum type "caffe\.([\w.]+)" has no value (?:named|with number) (.+)')
_NUMBER = re.compile(r"Couldn't parse (integer|float): (.+)")
_OCTAL = re.compile("Invalid octal float")
_RANGE = re.compile(r"Value out of range: (.+)")


@dataclass
class Failure:
    """Why a message does not read a span: where, what it says, the field that it lacks.

    `word` is what stands in a number's place, `name` the field or the enum's value that is lacking.
    Where `one_field` is at fault the rest may read.
    """

    at: int
    message: str
    fix: str = ""
    unknown: str = ""
    word: str = ""
    name: str = ""
    one_field: bool = True


def read_message(text: str, message_class: type[Message]) -> tuple[Message, Failure | None]:
    """Return the message of a text, and why it is not whole."""
    message: Any = message_class()
    try:
        text = literals.settle(text)
        text_format.Parse(text, message)
    except literals.LiteralError as error:
        return message, Failure(error.at, str(error))
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
        problem = f"{missing[0]} is missing, it is required"
        return message, Failure(at, problem, one_field=False)
    return message, None


def _octal_float(at: int) -> Failure:
    problem = "an octal number in a float field, which Caffe refuses"
    return Failure(at, problem, "write it without the leading 0")


def _explain(at: int, problem: str, message: Message) -> Failure:
    pool: Any = message.DESCRIPTOR.file.pool
    if match := _UNKNOWN.match(problem):
        known = pool.FindMessageTypeByName(f"caffe.{match[1]}").fields_by_name
        problem = f"{match[1]} has no field {match[2]!r}"
        fix = _closest(match[2], list(known))
        return Failure(at, problem, fix, f"{match[1]}.{match[2]}", name=match[2])
    if match := _TWICE.match(problem):
        return Failure(at, f"{match[2]!r} is given twice, {match[1]} takes it once")
    if match := _VALUE.match(problem):
        known = list(pool.FindEnumTypeByName(f"caffe.{match[1]}").values_by_name)
        name = match[1].rpartition(".")[2]
        if match[2].startswith(('"', "'")):
            fix = "a type in quotes is that of a `layer`: write layer, not layers"
            fix = fix if name == "LayerType" else ""
            return Failure(at, f"{match[2]} is a string, wants a bare {name}", fix)
        wants = f", wants {', '.join(known)}" if len(known) < 9 else ""
        fix = _closest(match[2], known)
        return Failure(at, f"{name} has no value {match[2]}{wants}", fix, name=match[2])
    if match := _NUMBER.match(problem):
        wanted = "whole number" if match[1] == "integer" else "number"
        fix = word = ""
        if re.fullmatch(r"[A-Za-z_]\w*", match[2]) and match[2].lower() not in template.WORDS:
            is_net = message.DESCRIPTOR.name != "SolverParameter"
            how = f"give its value with --set {match[2]}=..." if is_net else "fill it in"
            fix, word = f"if it is a template's placeholder, {how}", match[2]
        return Failure(at, f"{match[2]} where a {wanted} belongs", fix, word=word)
    if _OCTAL.match(problem):
        return _octal_float(at)
    if match := _RANGE.match(problem):
        return Failure(at, f"{match[1]} is out of its field's range")
    return Failure(at, problem.replace('"caffe.', '"'), one_field=False)


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
