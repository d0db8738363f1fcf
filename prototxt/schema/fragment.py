"""A schema's file as it was read, with the files that it imports."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from prototxt.errors import FormatError

from . import reader
from .definitions import Message
from .difference import difference, is_whole

FOLDER = Path(__file__).parent
"""Where the shipped files are."""
BVLC = FOLDER / "bvlc.proto"


@dataclass(frozen=True)
class Fragment:
    """One file's definitions; equal where the texts are, so that a changed file is another one.

    Of a fork's whole `caffe.proto` they are those that differ from BVLC's.
    """

    path: Path
    text: str = field(repr=False)
    imports: tuple[Fragment, ...]
    parsed: Message = field(compare=False, repr=False)

    @classmethod
    def read(cls, path: Path) -> Fragment:
        """Read a file, and those that it imports: beside it, or shipped ones.

        FormatError names the line where it is no schema.
        """
        return _shipped(path) if path.is_relative_to(FOLDER) else _read(path)

    @cached_property
    def merged(self) -> Message:
        """Its definitions over those of the files that it imports."""
        base = Message("")
        for imported in self.imports:
            base = imported.merged.over(base)
        return self.parsed.over(base)

    @cached_property
    def words(self) -> frozenset[str]:
        """The names in the texts of it and of those that it imports: what it lacks is not here."""
        own = frozenset(re.findall(r"\w+", self.text))
        return own.union(*(imported.words for imported in self.imports))

    @property
    def ancestors(self) -> Iterator[Fragment]:
        """The files that it imports, directly or not."""
        for imported in self.imports:
            yield imported
            yield from imported.ancestors


@cache
def _shipped(path: Path) -> Fragment:
    return _read(path)


def _read(path: Path) -> Fragment:
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError:
        raise FormatError(f"{path}: no text, wants a .proto schema") from None
    parsed = reader.read(text, str(path))
    if is_whole(parsed) and path != BVLC:
        parsed = difference(parsed, Fragment.read(BVLC).merged)
    imports = [_found(name, path.parent) for name in parsed.imports]
    return Fragment(path, text, tuple(map(Fragment.read, imports)), parsed)


def _found(name: str, folder: Path) -> Path:
    beside = folder / name
    return beside if beside.exists() else FOLDER / name
