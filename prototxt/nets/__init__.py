"""Definitions of our own: written by a builder, checked in as prototxt."""

from __future__ import annotations

from collections.abc import Callable

from prototxt.nets import sknet
from prototxt.nets.definition import Definition

DEFINITIONS: dict[str, Callable[[], Definition]] = {
    "sknet50": sknet.sknet50,
    "sknet101": sknet.sknet101,
}


def text(name: str) -> str:
    """Give the text of one definition, as its file holds it."""
    return "# Written by `python -m prototxt.nets`: change the builder, not this file.\n\n" + str(
        DEFINITIONS[name]()
    )
