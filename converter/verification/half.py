"""Judging a model of float16: against torch in double, by what rounding to float16 alone does."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from converter.onnx.runtime import Arrays

from .choices import Choices, choices_of, downstream
from .compare import BlobError, Comparison, errors_of, relative_error
from .half_model import HalfModel
from .run import Runs, wanted
from .torch_pass import Change, after, replacing, rounded_to_half

LEAST_TOLERANCE = 2.0**-9
"""Four roundings to float16, of 2**-11 each: the limit where rounding happens to do less."""
LARGEST_TOLERANCE = 0.25
"""Beyond a quarter of a blob's largest value half precision is of no use, even if it is right."""
TIMES_ROUNDING = 2
"""Errors may be this much of what rounding does: the two round at different places."""
FLOAT32_LAYER_TOLERANCE = 1e-4
"""What a layer in float32 may differ by, from the same inputs."""


@dataclass(frozen=True)
class HalfJudge:
    """Compares with the network in double; the limit of a blob is twice what rounding does.

    That is measured: torch runs once more with the weights and the values that the file holds in
    float16 rounded to it, and its largest error up to a blob, in the network's order, is the
    blob's. A layer that chooses (a box, the highest value) may choose otherwise for a value a
    little off: it is compared with its own form in torch on the same inputs, and what follows it
    goes on from its choice.
    """

    model: HalfModel
    asked: float | None = None

    @property
    def dtype(self) -> str:
        """The model's type."""
        return "float16"

    @property
    def tolerance(self) -> float:
        """What was asked for, or the most that a model of half precision may be off."""
        return LARGEST_TOLERANCE if self.asked is None else self.asked

    def compare(self, runs: Runs) -> list[Comparison]:
        """Compare the file as it ships and with every value exposed."""
        choices = choices_of(runs)
        made = replacing(choices.made)
        exact = Change(torch.float64, values=made)
        rounded = Change(blobs=self._round_blob, values=after(made, self._round_value))
        shipped, exposed = Comparison(""), Comparison("")
        noise = 0.0
        passes = zip(wanted(runs, exact), runs.in_torch(rounded), runs.in_onnx(), strict=True)
        for want, in_half, got in passes:
            limits: dict[str, float] = {}
            for name, value in want.items():
                if name not in choices.of and name in in_half:
                    noise = max(noise, relative_error(in_half[name], value))
                limits[name] = self._limit(noise)
            shipped.rows += errors_of(runs.model.shipped, want, limits)
            appended = want.keys() - in_half.keys()
            exposed.rows += errors_of(
                {name: got[name] for name in got if name not in appended}, want, limits
            )
        against = f"against torch in double (rounding to float16 alone: off by {noise:.1g})"
        shipped.title = f"ONNX Runtime, {runs.model.what}, {against}"
        exposed.title = f"ONNX Runtime, every value exposed, {against}"
        exposed.rows = [
            self._choice_row(row, choices, runs) if row.blob in choices.of else row
            for row in exposed.rows
        ]
        return [_without_downstream(shipped, downstream(runs.steps, choices.of)), exposed]

    def notes(self, runs: Runs) -> list[str]:
        """Say how often the highest score of each output is the float32 network's."""
        names = set(runs.outputs)
        ours = [
            (name, value)
            for some in runs.in_torch()
            for name, value in some.items()
            if name in names
        ]
        return agreement(runs.model.shipped, dict(ours))

    def _round_blob(self, layer: str, blob: Tensor) -> Tensor:
        return rounded_to_half(blob) if self.model.holds_weights_of(layer) else blob

    def _round_value(self, name: str, value: Tensor) -> Tensor:
        return rounded_to_half(value) if name in self.model.values else value

    def _limit(self, noise: float) -> float:
        if self.asked is not None:
            return self.asked
        return min(max(LEAST_TOLERANCE, TIMES_ROUNDING * noise), LARGEST_TOLERANCE)

    def _choice_row(self, row: BlobError, choices: Choices, runs: Runs) -> BlobError:
        """Judge a choice by the layer run alone, from the same inputs, in both engines.

        In a whole model ONNX Runtime leaves casts to float16 and back out. The part begins at the
        nearest of the values: the file may leave out what makes a bottom.
        """
        choice = choices.of[row.blob]
        inputs = {name: choices.values[name] for name in choices.values.keys() - choice.step.tops}
        alone = runs.model.onnx.run_part(inputs, [row.blob])
        if not alone:
            return row
        tolerance = self.asked
        if tolerance is None:
            in_half = row.blob in self.model.values
            tolerance = LEAST_TOLERANCE if in_half else FLOAT32_LAYER_TOLERANCE
        return replace(
            row, error=relative_error(alone[row.blob], choice.wanted), tolerance=tolerance
        )


def _without_downstream(shipped: Comparison, downstream: set[str]) -> Comparison:
    """Leave out what follows a choice: fused, the file may choose otherwise."""
    judged = [row for row in shipped.rows if row.passed or row.blob not in downstream]
    if shipped.rows and not judged:
        names = ", ".join(row.blob for row in shipped.rows)
        shipped.skipped = f"{names}: other choices than below, where they are judged"
    shipped.rows = judged
    return shipped


def agreement(shipped: Arrays, exact: Arrays) -> list[str]:
    """Say how often the highest score of each output is the float32 network's."""
    notes = []
    for name, got in shipped.items():
        want = exact.get(name)
        scores = got.ndim > 1 and got.shape[1] == got[:1].size > 1
        if want is None or want.shape != got.shape or not scores:
            continue
        same = got.reshape(len(got), -1).argmax(1) == want.reshape(len(want), -1).argmax(1)
        notes.append(
            f"{name}: the highest is the float32 network's in {same.sum()} of {len(same)} samples"
        )
    return notes
