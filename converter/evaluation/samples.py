"""Labelled images: a tree of folders, a list of files, or a database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Protocol

import numpy as np

from prototxt.data.backends import BACKENDS, backend_of
from prototxt.data.database import Database
from prototxt.data.datum import read_datum
from prototxt.data.images import read_image
from prototxt.data.lists import read_image_list
from prototxt.errors import FormatError, UsageError, within

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp"}


class LabelledImages(Protocol):
    """A sequence of RGB images, each H x W x 3, with their classes."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]: ...

    def name(self, index: int) -> str:
        """Return what an image is called."""


def open_samples(
    data: str | PathLike[str],
    *,
    labels: str | PathLike[str] | None = None,
    root: str | PathLike[str] | None = None,
    labelled: bool = True,
) -> LabelledImages:
    """Open labelled images.

    `data` is a folder with a folder of images for each class, a text file with `path label` lines
    as Caffe's tools write, or a LevelDB or LMDB. Folders are named by the first words of the lines
    of `labels`, whose numbers are the classes; without it, by their classes' numbers, or else they
    are the classes in the order of their names. A list's paths are relative to `root`, which is
    the list's own folder unless given. Unless they have to be `labelled`, images may lie in the
    folder itself, with the label -1. Raises CaffeError for what is none of these, and for `labels`
    or a `root` that it has no use for.
    """
    path = Path(data)
    if root is not None and not path.is_file():
        raise UsageError(f"--root is what a list's paths begin at, {path} is no list")
    if labels is not None and not is_tree(path, labelled=labelled):
        raise UsageError(f"--labels names folders, and {path} is no folder of them")
    if backend := backend_of(path):
        return LabelledDatabase(BACKENDS[backend](path))
    if path.is_dir():
        images = [] if labelled else _images(path.iterdir())
        if not labelled and not images and not any(entry.is_dir() for entry in path.iterdir()):
            raise FormatError(f"{path}: no images in it, of {', '.join(sorted(IMAGE_SUFFIXES))}")
        return LabelledFiles([(file, -1) for file in images]) if images else _tree(path, labels)
    if path.is_file():
        folder = Path(root) if root is not None else path.parent
        return LabelledFiles([(folder / name, label) for name, label in read_image_list(path)])
    raise UsageError(f"{path}: no such folder, list or database")


def is_tree(data: str | PathLike[str], *, labelled: bool = True) -> bool:
    """Tell whether it is a folder with a folder of images for each class."""
    path = Path(data)
    return path.is_dir() and backend_of(path) is None and (labelled or not _images(path.iterdir()))


@dataclass(frozen=True)
class LabelledFiles:
    """Image files with their classes."""

    entries: list[tuple[Path, int]]

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        path, label = self.entries[index]
        return np.ascontiguousarray(read_image(path, upright=True)[:, :, ::-1]), label

    def name(self, index: int) -> str:
        """Return the image's path."""
        return str(self.entries[index][0])


@dataclass(frozen=True)
class LabelledDatabase:
    """Caffe's database of Datum records, raw or encoded."""

    database: Database

    def __len__(self) -> int:
        return len(self.database)

    def __getitem__(self, index: int) -> tuple[np.ndarray, int]:
        key, record = self.database[index]
        with within(f"{self.database.path}: record {key!r}"):
            image, label = read_datum(record, color=True)
            if len(image) not in (1, 3):
                raise FormatError(f"an image of {len(image)} channels, wants 1 or 3")
        rgb = image[::-1] if len(image) == 3 else image.repeat(3, axis=0)
        return np.ascontiguousarray(rgb.transpose(1, 2, 0)), label

    def name(self, index: int) -> str:
        """Return the record's key."""
        return self.database[index][0]


def _tree(path: Path, labels: str | PathLike[str] | None) -> LabelledFiles:
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir())
    if not folders:
        raise FormatError(f"{path}: no folders in it, wants one with images for each class")
    numbers = _numbers(path, [folder.name for folder in folders], labels)
    entries = [
        (file, numbers[folder.name]) for folder in folders for file in _images(folder.rglob("*"))
    ]
    if not entries:
        raise FormatError(f"{path}: no images in its folders")
    return LabelledFiles(entries)


def _images(files: Iterable[Path]) -> list[Path]:
    """Return those that are images by their names, in order."""
    return sorted(
        file for file in files if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()
    )


def _numbers(path: Path, names: list[str], labels: str | PathLike[str] | None) -> dict[str, int]:
    if labels is None:
        if all(name.isdecimal() for name in names):
            return {name: int(name) for name in names}
        return {name: number for number, name in enumerate(names)}
    known = {line.split()[0]: number for number, line in enumerate(read_labels(labels)) if line}
    for name in names:
        if name not in known:
            raise FormatError(f"{path}: folder {name!r} is no first word of a line of {labels}")
    return known


def read_labels(path: str | PathLike[str]) -> list[str]:
    """Return the lines of a file of class names: line i names class i, from 0."""
    try:
        text = Path(path).read_text("utf-8")
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise FormatError(f"{path}: no text, wants a line for each class") from None
    return [line.strip() for line in text.splitlines()]


def check_label(label: int, classes: int, samples: LabelledImages, index: int) -> None:
    """Raise FormatError for a label that the network has no score for."""
    if not 0 <= label < classes:
        raise FormatError(
            f"{samples.name(index)}: label {label}, the network has {classes} classes",
            fix="is --labels missing, or the data another network's?",
        )
