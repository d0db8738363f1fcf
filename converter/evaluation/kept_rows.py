"""Rows of arrays that grow batch by batch, on disk: what is cut off goes on from them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from prototxt.atomic import writing
from prototxt.errors import FormatError, ShapeError

from .resume import refuse_other

STATE = "state.json"


@dataclass
class KeptRows:
    """A folder with an array of `total` rows for each name, of which the first `done` are set.

    `identity` says what they are of.
    """

    folder: Path
    identity: Mapping[str, Any]
    total: int
    done: int = 0
    arrays: dict[str, np.ndarray] = field(default_factory=dict)

    @classmethod
    def open(cls, folder: Path, identity: Mapping[str, Any], total: int) -> KeptRows:
        """Open a folder that is there, or begin one; CaffeError if it is of something else."""
        if not (folder / STATE).exists():
            return cls(folder, identity, total)
        try:
            before = json.loads((folder / STATE).read_text())
            done, other = int(before["done"]), dict(before["identity"])
            arrays = {
                name: np.load(folder / f"{number}.npy", mmap_mode="r+")
                for number, name in enumerate(before["names"])
            }
        except (OSError, ValueError, KeyError, TypeError):
            raise FormatError(f"{folder} is no state of features", fix="remove it") from None
        refuse_other(folder, other, identity, "other features, which differ in their")
        return cls(folder, identity, total, done, arrays)

    def add(self, rows: Mapping[str, np.ndarray], count: int) -> None:
        """Set the next `count` rows; ShapeError for an array that has not so many, or others."""
        for name, value in rows.items():
            if value.ndim == 0 or len(value) != count:
                raise ShapeError(
                    f"blob {name!r} is {value.shape} for {count} images, wants a row for each"
                )
            whole = self.arrays.get(name)
            if whole is None:
                whole = self.arrays[name] = self._new((self.total, *value.shape[1:]), value.dtype)
            if whole.shape[1:] != value.shape[1:]:
                raise ShapeError(f"blob {name!r} is {value.shape}, and {whole.shape[1:]} before")
            whole[self.done : self.done + count] = value
        self.done += count

    @contextmanager
    def saving(self) -> Iterator[None]:
        """Keep what is done, also where the block is cut off."""
        try:
            yield
        finally:
            if self.done:
                said = {"done": self.done, "identity": self.identity, "names": list(self.arrays)}
                with writing(self.folder / STATE) as file:
                    file.write(json.dumps(said).encode())

    def remove(self) -> None:
        """Remove the folder: there is nothing left to go on with."""
        self.arrays.clear()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _new(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{len(self.arrays)}.npy"
        return np.lib.format.open_memmap(path, "w+", dtype, shape)
