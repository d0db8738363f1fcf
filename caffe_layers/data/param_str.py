"""The parameters of Python layers: `param_str`, a YAML mapping of numbers, words and lists."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterator
from typing import Any

from prototxt.errors import FormatError, UnsupportedError

_ITEM = re.compile(r"""\s*(?P<quote>['"]?)(?P<key>\w+)(?P=quote)\s*:(?P<value>.*)\Z""", re.DOTALL)
_TAG = re.compile(r"!!python/\w+\s*")  # `!!python/tuple [1, 2]`: only the list matters
_WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


def read_param_str(text: str, known: Collection[str]) -> dict[str, Any]:
    """Return what a `param_str` says; its keys must be among the `known`.

    Raises FormatError for what is no mapping of plain values, UnsupportedError for another key.
    """
    values: dict[str, Any] = {}
    last = ""
    for item in _items(text.strip()):
        if item.lstrip().startswith("- ") and last:
            values[last] = [*(values[last] or []), _value(item.lstrip()[2:])]
            continue
        match = _ITEM.match(item)
        if not match or match["key"] in values:
            raise FormatError(f"param_str {text!r}: {item.strip()!r} is no new `key: value`")
        last = match["key"]
        values[last] = _value(match["value"])
    for key in values:
        if key not in known:
            raise UnsupportedError(f"param_str knows no {key!r} here, wants {', '.join(known)}")
    return values


def _items(text: str) -> Iterator[str]:
    """Yield the items of a mapping: of `{a: 1, b: 2}`, or one on each line."""
    if not (text.startswith("{") and text.endswith("}")):
        yield from filter(str.strip, text.splitlines())
        return
    depth, item = 0, ""
    for letter in text[1:-1]:
        depth += (letter in "[({") - (letter in "])}")
        if letter == "," and depth == 0:
            yield item
            item = ""
        else:
            item += letter
    if item.strip():
        yield item


def _value(text: str) -> Any:
    text = _TAG.sub("", text).strip()
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        if re.fullmatch(r"[\w./-]+", text):
            return text
        raise FormatError(f"param_str's value {text!r} is no number, word or list") from None
