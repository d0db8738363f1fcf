"""HDF5 files of data: named arrays, whose first axis counts samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from prototxt.errors import FormatError, ShapeError

from .file import h5py_for, reading, writing

WHO = "HDF5 data needs"


def read_shapes(path: str | Path, names: Sequence[str]) -> list[tuple[int, ...]]:
    """Return the shapes of the datasets of these names; errors as in `read_datasets`."""
    with _datasets(path, names) as datasets:
        return [tuple(int(size) for size in dataset.shape) for dataset in datasets]


def read_datasets(path: str | Path, names: Sequence[str]) -> list[np.ndarray]:
    """Return the datasets of these names, of whatever numbers the file holds.

    Raises FormatError where the file cannot be read or lacks one of them, and ShapeError where
    their first sizes differ.
    """
    with _datasets(path, names) as datasets:
        return [np.asarray(dataset[()]) for dataset in datasets]


def write_datasets(path: str | Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write a file with these datasets, whole or not at all."""
    with writing(path, h5py_for(path, WHO)) as file:
        for name, array in arrays.items():
            file.create_dataset(name, data=array)


@contextmanager
def _datasets(path: str | Path, names: Sequence[str]) -> Iterator[list[Any]]:
    with reading(path, h5py_for(path, WHO), "cannot be read as HDF5") as file:
        datasets = [_checked(name, file.get(name), file) for name in names]
        rows = {name: len(data) for name, data in zip(names, datasets, strict=True)}
        if len(set(rows.values())) > 1:
            counts = ", ".join(f"{count} of {name!r}" for name, count in rows.items())
            raise ShapeError(f"wants as many rows of each dataset, has {counts}")
        yield datasets


def _checked(name: str, dataset: Any, file: Any) -> Any:
    if not hasattr(dataset, "dtype"):
        has = ", ".join(sorted(file)) or "nothing"
        raise FormatError(f"no dataset {name!r}, it has {has}")
    if dataset.dtype.kind not in "fiu":
        raise FormatError(f"dataset {name!r} is of type {dataset.dtype}, wants numbers")
    if not dataset.ndim or not len(dataset):
        raise FormatError(f"dataset {name!r} is {dataset.shape}, wants one row or more")
    return dataset
