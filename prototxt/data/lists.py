"""The text files that name images: lists with labels, and R-CNN's windows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from prototxt.errors import FormatError, within

FIELDS = 6  # of a window: class, overlap, x1, y1, x2, y2


def read_image_list(path: str | Path) -> list[tuple[str, int]]:
    """Return the `(name, label)` of each line; the label is what follows the last space.

    Raises FormatError, with the line, where that is no whole number.
    """
    entries = []
    for number, line in _lines(path):
        name, _, label = line.rstrip().rpartition(" ")
        try:
            entries.append((name, int(label)))
        except ValueError:
            name = ""
        if not name:
            raise FormatError(f"{path}:{number}: {line!r}, wants `image label`")
    if not entries:
        raise FormatError(f"{path}: the list names no image")
    return entries


@dataclass(frozen=True, eq=False)
class Windows:
    """A window file: `paths` of images, their `channels`, and a row for each window.

    A row of `boxes` is the image's number, the class, x1, y1, x2 and y2; `overlaps` is float32.
    """

    paths: list[str]
    channels: int
    boxes: NDArray[np.int32]
    overlaps: NDArray[np.float32]


def read_windows(path: str | Path) -> Windows:
    """Read a window file: for each image `# number`, path, channels, height, width and windows.

    Raises FormatError, with the line, where that is not what follows.
    """
    words = _words(path)
    paths: list[str] = []
    channels = 0
    rows: list[NDArray[np.float64]] = []
    for number, word in words:
        with within(f"{path}:{number}"):
            if word != "#":
                raise FormatError(f"{word!r}, wants `#` and an image's number")
            index = _whole(words)
            if index != len(paths):
                raise FormatError(f"image {index}, wants {len(paths)}: they count from 0")
            paths.append(_next(words)[1])
            channels, _, _, count = (_whole(words) for _ in range(4))
            values = [_number(words) for _ in range(count * FIELDS)]
            windows = np.array(values, np.float64).reshape(count, FIELDS)
            rows.append(np.insert(windows, 0, index, axis=1))
    if not paths:
        raise FormatError(f"{path}: the window file names no image")
    table = np.concatenate(rows)
    boxes = np.delete(table, 2, axis=1)
    if (boxes != np.rint(boxes)).any():
        raise FormatError(f"{path}: a class or a corner of a window is no whole number")
    return Windows(paths, channels, boxes.astype(np.int32), table[:, 2].astype(np.float32))


def beneath(root_folder: str, name: str, source: str) -> str:
    """Return the path of what a list names: the folder stands before it, as in Caffe.

    Raises FormatError, with the list, where the name leads out of the folder.
    """
    path, folder = root_folder + name, os.path.dirname(root_folder)
    if folder:
        inside = os.path.abspath(folder)
        if os.path.commonpath([os.path.abspath(path), inside]) != inside:
            raise FormatError(f"{source}: {name!r} leads out of root_folder {folder!r}")
    return path


def _lines(path: str | Path) -> Iterator[tuple[int, str]]:
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            for number, line in enumerate(file, 1):
                if not line.isspace():
                    yield number, line.rstrip("\n")
    except OSError as error:
        raise FormatError(f"the list {str(path)!r} cannot be read: {error.strerror}") from None


def _words(path: str | Path) -> Iterator[tuple[int, str]]:
    return ((number, word) for number, line in _lines(path) for word in line.split())


def _next(words: Iterator[tuple[int, str]]) -> tuple[int, str]:
    found = next(words, None)
    if found is None:
        raise FormatError("the file ends within this image")
    return found


def _number(words: Iterator[tuple[int, str]]) -> float:
    number, word = _next(words)
    try:
        return float(word)
    except ValueError:
        raise FormatError(f"line {number}: {word!r} is no number") from None


def _whole(words: Iterator[tuple[int, str]]) -> int:
    number, word = _next(words)
    if not word.isdecimal():
        raise FormatError(f"line {number}: {word!r} is no whole number")
    return int(word)
