"""Bring numbers and strings to the forms that every protobuf release reads as Caffe does.

Python's text parsers take literals that Caffe refuses (`+1`, `1_000`, `0b1`, unknown escapes; the
older ones 010 as a float) and refuse some that Caffe takes (`- 1`; the older ones `1.5F`).
"""

from __future__ import annotations

import re

from google.protobuf.descriptor import Descriptor, FieldDescriptor

STRING = r'"(?:[^"\\\n]|\\.)*"' + "|" + r"'(?:[^'\\\n]|\\.)*'"

# A literal that needs a look: anything else is read alike everywhere.
_ODD = re.compile(r"[-+]\s|\+[\d.\w]|\d_|\d[fFobOB]|\\[^abfnrtv\\'\"]")
_NUMBER = r"[\d.](?:[eE][-+]|[\w.])*"
_TOKEN = re.compile(
    rf"(?P<string>{STRING})|#[^\n]*|(?P<number>[-+][-+\s]*(?:{_NUMBER}|\w+)|{_NUMBER})|\w+"
)
_INTEGER = re.compile(r"-?(?:0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)")
_FLOAT = re.compile(
    r"-?(?:(?:(?:0|[1-9]\d*)\.?\d*|\.\d+)(?:e[-+]?\d+)?|inf(?:inity)?|nan)f?", re.IGNORECASE
)
_OCTAL = re.compile(r"(?<![\w.])0\d")
_ESCAPE = re.compile(
    r"\\(?:[abfnrtv\\?'\"]|[0-3][0-7]{0,2}|[4-7][0-7]?(?![0-7])|[xX][0-9a-fA-F]{1,2}"
    r"|(?P<unicode>u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})|(?P<other>.))"
)
_PARTS = re.compile(rf"{STRING}|#[^\n]*|(?P<name>[A-Za-z_]\w*)|[{{<}}>]|(?P<number>{_NUMBER})")


class LiteralError(ValueError):
    """A literal that Caffe refuses, `at` this offset."""

    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at


def settle(text: str) -> str:
    """Return the text with its odd literals rewritten, each as long as it was."""
    if not _ODD.search(text):
        return text
    return _TOKEN.sub(_settled, text)


def _settled(match: re.Match[str]) -> str:
    token = match.group()
    if match["string"]:
        text = _ESCAPE.sub(lambda escape: _unescaped(escape, match.start()), token)
        return text.ljust(len(token))
    if not match["number"]:
        return token
    plain = re.sub(r"\s+", "", token)
    if not (_INTEGER.fullmatch(plain) or _FLOAT.fullmatch(plain)):
        raise LiteralError(match.start(), f"{token!r} is no number that Caffe reads")
    if not plain.lower().startswith(("0x", "-0x")):
        plain = plain.replace("F", "f")
    return "".join(re.findall(r"\s", token)) + plain


def _unescaped(escape: re.Match[str], start: int) -> str:
    if escape["other"]:
        raise LiteralError(start + escape.start(), f"{escape[0]!r} is no escape that Caffe reads")
    return chr(int(escape["unicode"][1:], 16)) if escape["unicode"] else escape[0]


def octal_float(text: str, message: Descriptor) -> int | None:
    """Find a float field whose value is written as an octal number; Caffe refuses it."""
    if not _OCTAL.search(text):
        return None
    scopes: list[Descriptor] = [message]
    field: FieldDescriptor | None = None
    for match in _PARTS.finditer(text):
        token = match.group()
        if match["name"]:
            field = scopes[-1].fields_by_name.get(token, field)
        elif token in ("{", "<") and field is not None and field.message_type is not None:
            scopes.append(field.message_type)
        elif token in ("}", ">"):
            scopes.pop()
        elif match["number"] and _OCTAL.match(token) and field is not None and _is_float(field):
            return match.start() - (text[match.start() - 1] == "-")
    return None


def _is_float(field: FieldDescriptor) -> bool:
    return field.type in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_DOUBLE)
