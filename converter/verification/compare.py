"""How far two sets of blobs are from each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Literal

import numpy as np
import torch

Content = Literal["", "not finite", "zero", "choice"]
"""Of a blob that shows little: no value is finite, or every one is 0; or what a layer chooses."""


@dataclass(frozen=True)
class BlobError:
    """One blob's largest error, as a fraction of the blob's largest value."""

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


@dataclass
class Comparison:
    """The blobs of one engine beside those of another, in the network's order."""

    title: str
    rows: list[BlobError] = field(default_factory=list)
    median_tolerance: float | None = None
    """The largest median error over all blobs that passes; None where the median may be any."""
    skipped: str = ""
    """Why nothing was compared, if so."""
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
    want = np.asarray(want)
    if not want.size:
        return ""
    if not np.isfinite(want).any():
        return "not finite"
    return "" if want.any() else "zero"


def relative_error(got: Any, want: Any, largest: float | None = None) -> float:
    """Return max|got - want| over the largest |want|; infinity where NaN or shapes differ.

    NaN equals NaN and infinity itself. `largest` replaces the largest |want| where `want` is a
    sample of a blob.
    """
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    if got.shape != want.shape:
        return float("inf")
    finite = np.isfinite(want)
    if not np.array_equal(got[~finite], want[~finite], equal_nan=True):
        return float("inf")
    if not finite.any():
        return 0.0
    # Where `want` is finite, a NaN of ours must not vanish in a maximum.
    error = float(np.abs(got[finite] - want[finite]).max())
    largest = float(np.abs(want[finite]).max()) if largest is None else largest
    if error == 0:
        return 0.0
    return error / largest if largest and not np.isnan(error) else float("inf")


def compare(
    title: str,
    got: Mapping[str, Any],
    want: Mapping[str, Any],
    tolerance: float | Mapping[str, float],
) -> Comparison:
    """Compare the blobs that both have, in the order of `want`, to one tolerance or each to its."""
    limits = tolerance if isinstance(tolerance, Mapping) else dict.fromkeys(want, tolerance)
    rows = [
        BlobError(
            name,
            tuple(np.shape(value)),
            relative_error(got[name], value),
            limits[name],
            content_of(value),
        )
        for name, value in want.items()
        if name in got
    ]
    return Comparison(title, rows)


def softmax_of(
    shipped: Mapping[str, np.ndarray], outputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Return the probabilities that `--softmax` appends, under the name of the sole output."""
    if len(outputs) != 1 or len(shipped) != 1 or shipped.keys() == outputs.keys():
        return {}
    (name,), (logits,) = shipped, outputs.values()
    return {name: torch.from_numpy(logits).softmax(1).numpy()}
