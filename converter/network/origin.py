"""Where a network came from: its definition, its weights' files, and what loading them noted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path

from converter.progress import progress
from prototxt import Net, Weights
from prototxt.binary.resident import let_go
from prototxt.file_state import FileState


@dataclass(frozen=True)
class FileInfo:
    """A file that was read or written."""

    path: str
    size: int
    sha256: str

    @classmethod
    def of(cls, path: str | PathLike[str], *, quiet: bool = True) -> FileInfo:
        """Measure and hash a file."""
        path = Path(path)
        digest = hashlib.sha256()
        size = path.stat().st_size
        with (
            path.open("rb") as file,
            progress(f"hash {path.name}", size, quiet=quiet, unit="B") as bar,
        ):
            while chunk := file.read(1 << 22):
                digest.update(chunk)
                bar.update(len(chunk))
        return cls(str(path), size, digest.hexdigest())


class SourceFile:
    """A file that a network was loaded from; it is hashed when that is first asked for.

    `pages` are its bytes where the network's blobs are views of them.
    """

    def __init__(self, state: FileState, pages: memoryview | None = None) -> None:
        self._state = state
        self._pages = pages
        self._info: FileInfo | None = None

    @property
    def path(self) -> Path:
        """Where it is."""
        return self._state.path

    def info(self, *, quiet: bool = True) -> FileInfo | None:
        """Return the file's size and hash; None if it is no more what was loaded."""
        if self._info is None and self._state.is_current:
            self._info = self._hashed(quiet=quiet)
        return self._info

    def let_go(self) -> None:
        """Take the pages out of memory, if none was changed: they are read again where needed."""
        if self._pages is not None:
            let_go(self._pages)

    def _hashed(self, *, quiet: bool) -> FileInfo:
        state = self._state
        if state.sha256:
            return FileInfo(str(state.path), state.size, state.sha256)
        return FileInfo.of(state.path, quiet=quiet)


@dataclass(frozen=True)
class Loaded:
    """What became of the layers of the weight files and of the network."""

    sources: list[str] = field(default_factory=list)
    filled: list[str] = field(default_factory=list)
    """Layers of the network that got their blobs."""
    unused: list[str] = field(default_factory=list)
    """Layers of the files that the network lacks: listed, not loaded."""
    ignored: list[str] = field(default_factory=list)
    """Layers left out because the user said so."""
    missing: list[str] = field(default_factory=list)
    """Layers of the network that no file has, which keep their fillers' values."""
    drawn: list[str] = field(default_factory=list)
    """Layers whose statistics no data have filled: mean 0, variance 1."""
    not_finite: list[str] = field(default_factory=list)
    """Blobs, as `layer[i]`, that hold NaN or infinity."""


@dataclass(frozen=True)
class Origin:
    """Where a network came from.

    `definition` is what was read, of every phase; `file` is its file and `weights` are the others,
    in the order in which they were loaded. `values` filled a template's placeholders. `notes` say
    what loading, and every rewriting since, did to the network.
    """

    definition: Net | None = None
    file: SourceFile | None = None
    weights: tuple[SourceFile, ...] = ()
    values: Mapping[str, str] = field(default_factory=dict)
    loaded: Loaded | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        definition: Net,
        weights: Iterable[Weights] = (),
        values: Mapping[str, str] | None = None,
        loaded: Loaded | None = None,
        notes: Iterable[str] = (),
    ) -> Origin:
        """Return the origin of a network of these; a lone .caffemodel is the definition's file."""
        file = definition.file
        others = {
            each.file.path: SourceFile(each.file, each.pages) for each in weights if each.file
        }
        own = SourceFile(file) if file else None
        if own:
            others.pop(own.path, None)
        weights_files = tuple(others.values())
        return cls(definition, own, weights_files, dict(values or {}), loaded, tuple(notes))

    @property
    def files(self) -> list[SourceFile]:
        """The files that were loaded, the definition's first."""
        return [*([self.file] if self.file else []), *self.weights]

    def let_go(self) -> None:
        """Take out of memory what of the files a network's blobs are, as far as it can be read."""
        for file in self.files:
            file.let_go()

    def noting(self, *notes: str) -> Origin:
        """Return the origin with more notes."""
        return replace(self, notes=(*self.notes, *notes))

    def __deepcopy__(self, memo: object) -> Origin:
        return self  # a value: copies of a network share it


def metadata(origin: Origin, version: str) -> dict[str, str]:
    """Return what an exported model says of its origin: our version, files' names and hashes."""
    files = {"caffe.net": origin.file} if origin.file else {}
    for number, weights in enumerate(origin.weights, 1):
        files[f"caffe.weights{number if number > 1 else ''}"] = weights
    said = {"caffeport.version": version}
    for key, file in files.items():
        info = file.info()
        said[key] = file.path.name
        said[f"{key}.sha256"] = info.sha256 if info else "the file has changed since it was loaded"
    return said
