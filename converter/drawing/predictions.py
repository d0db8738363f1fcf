"""What a network's outputs say of one image: boxes, a map of classes, or classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from converter.text import format_shape
from prototxt.errors import UnsupportedError, UsageError

DETECTION_FIELDS = 7
"""What a detector's row holds: image, label, score, xmin, ymin, xmax, ymax."""
MAP_AXES = 4

Array = NDArray[np.float64]


@dataclass(frozen=True)
class DetectedBox:
    """A box in fractions of the network's input."""

    label: int
    score: float
    corners: tuple[float, float, float, float]


@dataclass(frozen=True)
class Boxes:
    """The boxes of a detector's output, 1 x 1 x K x 7, the best last."""

    boxes: tuple[DetectedBox, ...]


@dataclass(frozen=True)
class ClassMap:
    """A class for each place, H x W: of the highest of C planes, or 0 and 1 of one plane."""

    classes: NDArray[np.int64]


@dataclass(frozen=True)
class Classes:
    """The classes of the highest scores, the best first."""

    scores: tuple[tuple[int, float], ...]


Result = Boxes | ClassMap | Classes


def read_result(
    outputs: Mapping[str, NDArray[np.generic]],
    *,
    blob: str | None = None,
    least: float = 0.5,
    most: int = 5,
) -> tuple[str, Result]:
    """Return the output that says something of an image, and what it says.

    `blob` names it where several do; boxes of a score below `least` are left out, and of classes
    the `most` best stay. Raises UnsupportedError where no output can be told, or several can, and
    UsageError for a `blob` that is none.
    """
    if blob is not None and blob not in outputs:
        raise UsageError(f"there is no output {blob!r}", fix=f"they are {', '.join(outputs)}")
    forms = {name: _form(value) for name, value in outputs.items() if blob in (None, name)}
    for form, read in _READERS.items():
        found = [name for name, own in forms.items() if own == form]
        if len(found) > 1:
            raise UnsupportedError(f"{', '.join(found)} could be drawn", fix="name one with --blob")
        if found:
            return found[0], read(np.asarray(outputs[found[0]], np.float64), least, most)
    listed = ", ".join(f"{name} {format_shape(np.shape(value))}" for name, value in outputs.items())
    raise UnsupportedError(
        f"none of the outputs ({listed}) is a detector's rows (1x1xKx7), a map or scores of "
        f"classes; boxes that are decoded outside of the network cannot be drawn"
    )


def _form(value: NDArray[np.generic]) -> str:
    shape = np.shape(value)
    if len(shape) == MAP_AXES and shape[:2] == (1, 1) and shape[3] == DETECTION_FIELDS:
        return "boxes"
    if len(shape) == MAP_AXES and shape[0] == 1 and min(shape[2:]) > 1:
        return "map"
    return "classes" if len(shape) > 1 and shape[0] == 1 and np.size(value) == shape[1] > 1 else ""


def _boxes(values: Array, least: float, most: int) -> Boxes:
    rows = values.reshape(-1, DETECTION_FIELDS).tolist()
    boxes = [
        DetectedBox(int(label), score, (left, top, right, bottom))
        for _, label, score, left, top, right, bottom in rows
        if label >= 0 and score >= least
    ]
    return Boxes(tuple(sorted(boxes, key=lambda box: box.score)))


def _map(values: Array, least: float, most: int) -> ClassMap:
    planes = values[0]
    if len(planes) > 1:
        return ClassMap(planes.argmax(0))
    (plane,) = planes
    whole = bool((plane == np.round(plane)).all())
    return ClassMap((plane if whole else plane > least).astype(np.int64))


def _classes(values: Array, least: float, most: int) -> Classes:
    scores = values.ravel()
    if scores.min() < 0 or scores.max() > 1:
        scores = np.exp(scores - scores.max())
        scores /= scores.sum()
    best: Sequence[int] = np.argsort(-scores, kind="stable")[:most].tolist()
    return Classes(tuple((index, float(scores[index])) for index in best))


_READERS: dict[str, Callable[[Array, float, int], Result]] = {
    "boxes": _boxes,
    "map": _map,
    "classes": _classes,
}
