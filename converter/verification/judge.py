"""How a model's values are judged: by what numbers of its element type can hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch

from converter.onnx.runtime import Arrays

from .choices import Choices, choices_of, downstream
from .compare import BlobError, Comparison, errors_of, relative_error, with_tolerance
from .run import Runs, wanted
from .torch_pass import NO_CHANGE, Change, replacing

TOLERANCE_BY_DTYPE = {
    torch.float64: 1e-9,
    torch.float32: 1e-4,
    torch.float16: 5e-2,
    torch.bfloat16: 1e-1,
}
"""Of a blob's largest value; a golden file given with Caffe's float run sets its own."""
LARGEST_FLOAT_NOISE = 1e-2
"""Above this an error is no rounding, however ill-conditioned the network."""
_GOES_ON = "which goes on from the model's choices"


class Judge(Protocol):
    """A way of judging a model."""

    @property
    def dtype(self) -> str:
        """The element type that the model computes in."""

    @property
    def tolerance(self) -> float:
        """What the model may be off from Caffe's blobs."""

    def compare(self, runs: Runs) -> list[Comparison]:
        """Compare the model as it ships, and every value of it exposed, with torch."""

    def notes(self, runs: Runs) -> list[str]:
        """Return what a reader of the comparisons should know."""


@dataclass(frozen=True)
class FloatJudge:
    """Judges by one tolerance: what was asked for, or else that of the network's type.

    Where two float32 runs differ by more than the default one, the model is compared with torch in
    double, at twice the error that torch's own float run has there. Deep networks add up roundings:
    two right float runs of SKNet-101 differ by 5e-4. Where that is not enough, what a layer chooses
    is compared with what torch chooses from the same values (see `choices`).
    """

    network: torch.dtype
    asked: float | None = None

    @property
    def dtype(self) -> str:
        """The network's type."""
        return str(self.network).removeprefix("torch.")

    @property
    def tolerance(self) -> float:
        """What was asked for, or the default."""
        return TOLERANCE_BY_DTYPE[self.network] if self.asked is None else self.asked

    def compare(self, runs: Runs) -> list[Comparison]:
        """Compare with torch, in double where float32 is not enough to tell."""
        compared = self._compare(runs, {})
        if all(one.passed for one in compared):
            return compared
        choices = choices_of(runs)
        return self._compare_choices(runs, choices, compared) if choices.of else compared

    def _compare_choices(
        self, runs: Runs, choices: Choices, plain: list[Comparison]
    ) -> list[Comparison]:
        """Compare again, what layers choose with what torch chooses from the same values."""
        shipped, exposed = self._compare(runs, choices.made, f", {_GOES_ON}")
        exposed.rows = [
            replace(
                row,
                error=relative_error(choices.of[row.blob].made, choices.of[row.blob].wanted),
                tolerance=self.tolerance,
                content="choice",
            )
            if row.blob in choices.of
            else row
            for row in exposed.rows
        ]
        if not exposed.passed:
            return plain
        return [plain[0] if plain[0].passed else _without_choices(shipped, runs, choices), exposed]

    def notes(self, runs: Runs) -> list[str]:
        """Return nothing: the errors say it all."""
        return []

    def _compare(self, runs: Runs, replaced: Arrays, how: str = "") -> list[Comparison]:
        """Compare the model as it ships, and exposed, with torch where these values are given."""
        change = Change(values=replacing(replaced)) if replaced else NO_CHANGE
        compared = [
            Comparison(f"ONNX Runtime, {what}, against torch{how}")
            for what in (runs.model.what, "every value exposed")
        ]
        for want, got in zip(wanted(runs, change), runs.in_onnx(), strict=True):
            compared[0].rows += errors_of(runs.model.shipped, want, self.tolerance)
            compared[1].rows += errors_of(got, want, self.tolerance)
        if self.asked is not None or self.network != torch.float32:
            return compared
        if all(one.passed for one in compared):
            return compared
        in_double = self._compare_in_double(runs, change, [one.title for one in compared])
        return [
            one if one.passed else other for one, other in zip(compared, in_double, strict=True)
        ]

    def _compare_in_double(
        self, runs: Runs, change: Change, titles: Sequence[str]
    ) -> list[Comparison]:
        """Compare with torch in double, at twice the error of torch's own float run."""
        exact = replace(change, dtype=torch.float64)
        rows: list[list[BlobError]] = [[], []]
        noise = [0.0, 0.0]
        passes = zip(wanted(runs, change), wanted(runs, exact), runs.in_onnx(), strict=True)
        for ours, want, exposed in passes:
            own = {row.blob: row.error for row in errors_of(ours, want)}
            for index, got in enumerate((runs.model.shipped, exposed)):
                found = errors_of(got, want)
                noise[index] = max([noise[index], *(own[row.blob] for row in found)])
                rows[index] += found
        limits = (min(max(self.tolerance, 2 * most), LARGEST_FLOAT_NOISE) for most in noise)
        return [
            Comparison(f"{title} in double (float: off by {most:.1g})", with_tolerance(some, limit))
            for title, some, most, limit in zip(titles, rows, noise, limits, strict=True)
        ]


def _without_choices(shipped: Comparison, runs: Runs, choices: Choices) -> Comparison:
    """Leave out what the file as it ships, which is fused, chooses otherwise than exposed."""
    steps = runs.steps
    appended = runs.model.shipped.keys() - {top for step in steps for top in step.tops}
    depends = downstream(steps, choices.of) | appended
    judged = [row for row in shipped.rows if row.passed or row.blob not in depends]
    lost = [row.blob for row in shipped.rows if row not in judged]
    if lost:
        said = f"{', '.join(lost)}: other choices than below, where they are judged"
        shipped.title += f" ({said})"
        shipped.skipped = "" if judged else said
    shipped.rows = judged
    return shipped
