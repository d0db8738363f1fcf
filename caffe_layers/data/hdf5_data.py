"""HDF5Data."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from caffe_layers.base.checks import require
from caffe_layers.base.layer import Layer
from caffe_layers.base.shape import Shape
from prototxt.errors import FormatError, ShapeError, UnsupportedError, within
from prototxt.hdf5.datasets import read_datasets, read_shapes


class HDF5Data(Layer, type="HDF5Data", param="hdf5_data_param", bottoms=0, tops=(1, None)):
    """Each top is `batch_size` rows of the dataset of its name; every forward gives the next ones.

    `source` lists HDF5 files; their rows follow each other, and after the last come the first
    again. With `shuffle` the files come in any order, and in each the rows. Of several processes
    each takes rows of its own (`seed_data`). Paths are relative to the current folder, as in Caffe.
    Tops may be fed by name instead; then no file is read. An exported model has them as inputs.
    Where the list or the first file is not there, the tops can only be fed.

    Errors: FormatError for a list or file that is damaged or lacks a dataset; ShapeError where
    rows of a later file have another shape, or datasets of one file differ in rows.
    Caffe: BVLC/caffe, src/caffe/layers/hdf5_data_layer.cpp
    """

    is_source = True
    like: Tensor

    def __init__(self, *tops: str, source: str, batch_size: int, shuffle: bool = False) -> None:
        super().__init__()
        self.top_names = tops
        self.batch_size = batch_size
        self.shuffle = shuffle
        require(batch_size > 0, "batch_size is 0, wants 1 or more")
        self.files: list[str] = []
        self.top_shapes: list[Shape | None] = [None] * len(tops)
        try:
            self.files = _listed(source)
            shapes = read_shapes(self.files[0], tops)
        except FormatError as error:
            if all(Path(name).is_file() for name in (source, *self.files[:1])):
                raise
            self.read_error, self.makes_tops = error, False
        else:
            self.top_shapes = [(batch_size, *shape[1:]) for shape in shapes]
        # Tops follow the network's type and device.
        self.register_buffer("like", torch.empty(0), persistent=False)
        self._seed: tuple[int, ...] = ()
        self._rank, self._world = 0, 1
        self.reset_state()

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> HDF5Data:
        if layer.HasField("transform_param"):
            raise UnsupportedError(
                "HDF5Data does not transform data", fix="store it transformed, drop transform_param"
            )
        return cls(*layer.top, **cls.fields(layer))

    def shapes(self) -> list[Shape | None]:  # type: ignore[override]  # None: no file says it
        return list(self.top_shapes)

    def seed_data(self, *seed: int, rank: int = 0, world: int = 1, workers: int = 0) -> None:
        self._seed, self._rank, self._world = seed, rank, world
        self.reset_state()

    def reset_state(self) -> None:
        self._random: np.random.Generator | None = None
        self._passed = 0  # rows, of all processes
        self._file = -1  # the place in the order of files
        self._rows: list[int] = []  # of the open file, those still to come
        self._data: list[np.ndarray] = []

    def forward(self) -> tuple[Tensor, ...]:
        if self.read_error is not None:
            raise deepcopy(self.read_error)
        parts: list[list[np.ndarray]] = []
        missing = self.batch_size
        while missing:
            if not self._rows:
                self._next_file()
            rows = self._taken(missing)
            parts.append([data[rows] for data in self._data])
            missing -= len(rows)
        batches = (np.concatenate(rows) for rows in zip(*parts, strict=True))
        return tuple(torch.from_numpy(batch).to(self.like) for batch in batches)

    def _taken(self, most: int) -> list[int]:
        """Take rows of the open file: of several processes, in TRAIN, this one's."""
        world = self._world if self.training else 1
        first = (self._rank - self._passed) % world if world > 1 else 0
        end = min(len(self._rows), first + (most - 1) * world + 1)
        rows, self._rows = self._rows[first:end:world], self._rows[end:]
        self._passed += end
        return rows

    def _next_file(self) -> None:
        """Open the next file in order; a file that is the only one stays open."""
        self._file = (self._file + 1) % len(self.files)
        if self._file == 0:
            self._order = self._permuted(len(self.files))
        if not self._data or len(self.files) > 1:
            path = self.files[self._order[self._file]]
            self._data = read_datasets(path, self.top_names)
            with within(path):
                for name, data, top in zip(
                    self.top_names, self._data, self.top_shapes, strict=True
                ):
                    if top is not None and data.shape[1:] != top[1:]:
                        raise ShapeError(f"rows of {name!r} are {data.shape[1:]}, wants {top[1:]}")
        self._rows = self._permuted(len(self._data[0]))

    def _permuted(self, count: int) -> list[int]:
        if not self.shuffle:
            return list(range(count))
        if self._random is None:
            seed = self._seed or (int(torch.randint(2**62, ())),)
            self._random = np.random.default_rng(seed)
        order: list[int] = self._random.permutation(count).tolist()
        return order


def _listed(source: str) -> list[str]:
    """Return the files that a list names: words apart by white space, as Caffe reads them."""
    try:
        files = Path(source).read_text().split()
    except (OSError, UnicodeDecodeError) as error:
        raise FormatError(f"the list {source!r} cannot be read: {error}") from None
    if not files:
        raise FormatError(f"the list {source!r} names no HDF5 file")
    return files
