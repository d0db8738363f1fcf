"""How far two sets of blobs are from each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import inf, isfinite, isnan, log10
from statistics import median
from typing import Any, Literal

import numpy as np
import torch

Content = Literal["", "not finite", "zero", "choice"]
"""Of a blob that shows little: no value is finite, or every one is 0; or what a layer chooses."""


_PIECE = 1 << 16


@dataclass(frozen=True)
class BlobError:
    """One blob's error, as a fraction of the blob: by default the largest, of its largest value."""

    blob: str
    shape: tuple[int, ...]
    error: float
    tolerance: float
    content: Content = ""
    """What is the matter with the values that it should have, if anything."""

    @property
    def passed(self) -> bool:
        """Tell whether the error is within the tolerance; NaN never is, nor what has no number."""
        return self.error <= self.tolerance and self.content != "not finite"

    @property
    def remark(self) -> str:
        """What a reader of the error should know, or ""."""
        if self.content == "not finite":
            return "no finite value was compared"
        if not self.passed:
            return "out of tolerance"
        said = {"zero": "every value is 0", "choice": "chosen from the model's own values"}
        return said.get(self.content, "")

    @property
    def decibels(self) -> float:
        """The signal-to-noise ratio of an error that is noise: 20 for a tenth."""
        return -20 * log10(self.error) if self.error else inf


@dataclass(frozen=True)
class Measure:
    """A way of telling how far a blob is off: what a table calls it, and how it is computed."""

    name: str
    of: Callable[[Any, Any], float]

    def __call__(self, got: Any, want: Any) -> float:
        """Return how far `got` is from `want`, infinity where their shapes differ."""
        return self.of(got, want)


def relative_error(got: Any, want: Any, largest: float | None = None) -> float:
    """Return max|got - want| over the largest |want|; infinity where NaN or shapes differ.

    NaN equals NaN and infinity itself. `largest` replaces the largest |want| where `want` is a
    sample of a blob.
    """
    got, want = np.asarray(got), np.asarray(want)
    if got.shape != want.shape:
        return float("inf")
    flat_got, flat_want = got.reshape(-1), want.reshape(-1)
    # Float32 alone is as exact here: what two floats differ by is a float, if they are near.
    dtype = np.float32 if got.dtype == want.dtype == np.float32 else np.float64
    room = np.empty(min(want.size, _PIECE), dtype)
    error, magnitude = 0.0, 0.0
    with np.errstate(over="ignore", invalid="ignore"):  # both show in what is found
        for ours, theirs in zip(_pieces(flat_got), _pieces(flat_want), strict=True):
            here, most = _error_of_finite(ours, theirs, room)
            if not isfinite(here):  # NaN, infinity, or numbers at the end of the type's range
                here, most = _error(ours, theirs)
            if isnan(here):
                return float("inf")
            error, magnitude = max(error, here), max(magnitude, most)
    magnitude = magnitude if largest is None else largest
    if error == 0:
        return 0.0
    return error / magnitude if magnitude else float("inf")


def _error_of_finite(ours: np.ndarray, theirs: np.ndarray, room: np.ndarray) -> tuple[float, float]:
    """Return the largest error and magnitude; the error is not finite where a value is not.

    What is computed on the way lies in `room`, whose type it has.
    """
    room, dtype = room[: ours.size], room.dtype
    magnitude = float(np.abs(theirs, out=room, dtype=dtype).max())
    np.subtract(ours, theirs, out=room, dtype=dtype)  # in no type of whole numbers, which wrap
    error = float(np.abs(room, out=room).max())
    return error, magnitude


def _error(ours: np.ndarray, theirs: np.ndarray) -> tuple[float, float]:
    """Return the largest error and magnitude of a piece, of what is finite in it.

    The error is NaN where ours is, and theirs is finite, and where other values are not the same.
    """
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    finite = np.isfinite(theirs)
    if not np.array_equal(ours[~finite], theirs[~finite], equal_nan=True):
        return float("nan"), 0.0
    ours, theirs = ours[finite], theirs[finite]
    return float(np.abs(ours - theirs).max(initial=0)), float(np.abs(theirs).max(initial=0))


def _pieces(flat: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the values in pieces that a processor's cache holds: whole copies would cost memory."""
    for begin in range(0, flat.size, _PIECE):
        yield flat[begin : begin + _PIECE]


def noise_of(got: Any, want: Any) -> float:
    """Return the root of the mean square of got - want, of that of want; infinity for NaN.

    Infinity too where shapes differ, and 0 where both are alike.
    """
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    if got.shape != want.shape:
        return float("inf")
    if np.array_equal(got, want, equal_nan=True):
        return 0.0
    noise, signal = np.square(got - want).sum(), np.square(want).sum()
    if not (np.isfinite(noise) and np.isfinite(signal) and signal):
        return float("inf")
    return float(np.sqrt(noise / signal))


RELATIVE = Measure("error of the largest value", relative_error)
NOISE = Measure("noise", noise_of)


@dataclass
class Comparison:
    """The blobs of one engine beside those of another, in the network's order."""

    title: str
    rows: list[BlobError] = field(default_factory=list)
    median_tolerance: float | None = None
    """The largest median error over all blobs that passes; None where the median may be any."""
    skipped: str = ""
    """Why nothing was compared, if so."""
    measure: Measure = RELATIVE
    """How the rows' errors were measured."""
    refused: str = ""
    """What the engine says that does not run the model, if so: that is no pass."""

    @property
    def passed(self) -> bool:
        """Tell whether every blob, and the median if bounded, is within its tolerance."""
        if self.skipped or self.refused:
            return not self.refused
        within = self.median_tolerance is None or self.median <= self.median_tolerance
        return bool(self.rows) and within and all(row.passed for row in self.rows)

    @property
    def zeros(self) -> int:
        """How many blobs are 0 throughout: a network computes that whatever it does."""
        return sum(row.content == "zero" for row in self.rows)

    @property
    def median(self) -> float:
        """The median error over all blobs."""
        return median(row.error for row in self.rows) if self.rows else 0.0

    @property
    def worst(self) -> BlobError | None:
        """The blob with the largest error."""
        return max(self.rows, key=lambda row: (row.error != row.error, row.error), default=None)

    @property
    def first_bad(self) -> BlobError | None:
        """The first blob, in the network's order, that is out of tolerance."""
        return next((row for row in self.rows if not row.passed), None)


def content_of(want: Any) -> Content:
    """Tell whether the values to compare with say little; of an empty blob nothing is expected."""
    want = np.asarray(want).reshape(-1)
    if not want.size:
        return ""
    if not any(np.isfinite(piece).any() for piece in _pieces(want)):
        return "not finite"
    return "" if any(piece.any() for piece in _pieces(want)) else "zero"


def errors_of(
    got: Mapping[str, Any],
    want: Mapping[str, Any],
    tolerance: float | Mapping[str, float] = 0.0,
    measure: Measure = RELATIVE,
) -> list[BlobError]:
    """Return the errors of the blobs that both have, in the order of `want`.

    `tolerance` is one for all, or each blob's.
    """
    limits = tolerance if isinstance(tolerance, Mapping) else dict.fromkeys(want, tolerance)
    return [
        BlobError(
            name,
            tuple(np.shape(value)),
            measure(got[name], value),
            limits[name],
            content_of(value),
        )
        for name, value in want.items()
        if name in got
    ]


def with_tolerance(rows: Iterable[BlobError], tolerance: float) -> list[BlobError]:
    """Return errors with the tolerance that is known when all are."""
    return [replace(row, tolerance=tolerance) for row in rows]


def softmax_of(
    shipped: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return the probabilities that `--softmax` appends, under the name of the sole output."""
    if len(outputs) != 1 or len(shipped) != 1 or shipped.keys() == outputs.keys():
        return {}
    (name,), (logits,) = shipped, outputs.values()
    return {name: torch.from_numpy(logits).softmax(1).numpy()}
