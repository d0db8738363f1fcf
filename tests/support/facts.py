"""Forks' own schemas as facts: message -> field -> label, type, number, default; enums."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prototxt.schema.definitions import OPTIONAL, REPEATED, REQUIRED, Enum, Field, Message

LABELS = {"optional": OPTIONAL, "required": REQUIRED, "repeated": REPEATED}


def definitions(facts: Mapping[str, Any]) -> Message:
    """Return a file's facts as the definitions that a reader makes of it.

    A message without fields is not among the facts: it is known by the fields that are of it.
    """
    root = Message("")
    for name, fields in facts["messages"].items():
        found = _inner(root, name.split("."))
        found.fields = [
            Field(field, number, LABELS[label], kind, "facts", _unquoted(default))
            for field, (label, kind, number, default) in fields.items()
        ]
    for name, values in facts["enums"].items():
        *path, last = name.split(".")
        _inner(root, path).enums[last] = Enum(last, dict(values))
    defined = {name.rpartition(".")[2] for name in (*facts["messages"], *facts["enums"])}
    for fields in facts["messages"].values():
        for _, kind, _, _ in fields.values():
            if not kind.islower() and "." not in kind and kind not in defined:
                root.messages.setdefault(kind, Message(kind))
    return root


def _inner(root: Message, path: list[str]) -> Message:
    found = root
    for name in path:
        found = found.messages.setdefault(name, Message(name))
    return found


def _unquoted(default: str | None) -> str | None:
    return default[1:-1] if default and default[0] in "\"'" else default
