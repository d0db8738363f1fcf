"""Judging a model of fewer bits: against torch in double, by what rounding to them alone does."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from converter.onnx.quantization.agreement import top_classes
from converter.onnx.runtime import Arrays
from converter.verification.choices import Choices, choices_of, downstream
from converter.verification.compare import BlobError, Comparison, Measure, errors_of
from converter.verification.run import Runs, wanted
from converter.verification.torch_pass import Change, after, replacing

TIMES_ROUNDING = 2
"""Errors may be this much of what rounding does: the two round at different places."""
FLOAT32_LAYER_TOLERANCE = 1e-4
"""What a layer in float32 may differ by, from the same inputs."""


@dataclass(frozen=True)
class RoundedJudge(ABC):
    """Compares with the network in double; the limit of a blob is twice what rounding does.

    That is measured: torch runs once more with the weights and the values rounded that the file
    holds in fewer bits, and its largest error up to a blob, in the network's order, is the blob's.
    A layer that chooses (a box, the highest value) may choose otherwise for a value a little off:
    it is compared with its own form in torch on the same inputs, and what follows it goes on from
    its choice.
    """

    asked: float | None = field(default=None, kw_only=True)

    DTYPE: ClassVar[str]
    LEAST: ClassVar[float]
    """The limit where rounding happens to do less."""
    LARGEST: ClassVar[float]
    """Beyond this a model is of no use, even if it is right."""
    MEASURE: ClassVar[Measure]

    @property
    def dtype(self) -> str:
        """The model's type."""
        return self.DTYPE

    @property
    def tolerance(self) -> float:
        """What was asked for, or the most that such a model may be off."""
        return self.LARGEST if self.asked is None else self.asked

    @abstractmethod
    def round_blob(self, runs: Runs, layer: str, blob: Tensor) -> Tensor:
        """Return a layer's blob as the file holds it."""

    @abstractmethod
    def round_value(self, name: str, value: Tensor) -> Tensor:
        """Return a value as the file holds it."""

    @abstractmethod
    def holds(self, name: str) -> bool:
        """Tell whether the file holds a value in fewer bits."""

    def compare(self, runs: Runs) -> list[Comparison]:
        """Compare the file as it ships and with every value exposed."""
        choices = choices_of(runs)
        made = replacing(choices.made)
        exact = Change(torch.float64, values=made)
        rounded = Change(
            blobs=lambda layer, blob: self.round_blob(runs, layer, blob),
            values=after(made, self.round_value),
        )
        measure = self.MEASURE
        shipped, exposed = (Comparison("", measure=measure) for _ in range(2))
        noise = 0.0
        passes = zip(wanted(runs, exact), runs.in_torch(rounded), runs.in_onnx(), strict=True)
        for want, in_fewer, got in passes:
            limits: dict[str, float] = {}
            for name, value in want.items():
                if name not in choices.of and name in in_fewer:
                    noise = max(noise, measure(in_fewer[name], value))
                limits[name] = self._limit(noise)
            shipped.rows += errors_of(runs.model.shipped, want, limits, measure)
            appended = want.keys() - in_fewer.keys()
            exposed.rows += errors_of(
                {name: got[name] for name in got if name not in appended}, want, limits, measure
            )
        off = f"rounding to {self.DTYPE} alone: off by {noise:.1g}{self._advice(noise)}"
        against = f"against torch in double ({off})"
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

    def _advice(self, noise: float) -> str:
        """Say what to feed where rounding alone leaves too little to judge by."""
        if self.asked is not None or TIMES_ROUNDING * noise < self.LARGEST:
            return ""
        return ", which proves nothing: feed (--input) what the model is made for"

    def _limit(self, noise: float) -> float:
        if self.asked is not None:
            return self.asked
        return min(max(self.LEAST, TIMES_ROUNDING * noise), self.LARGEST)

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
            tolerance = self.LEAST if self.holds(row.blob) else FLOAT32_LAYER_TOLERANCE
        error = self.MEASURE(alone[row.blob], choice.wanted)
        return replace(row, error=error, tolerance=tolerance)


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
        if want is None or want.shape != got.shape:
            continue
        ours, theirs = top_classes(got), top_classes(want)
        if ours is not None and theirs is not None:
            same = ours == theirs
            said = f"the highest is the float32 network's in {same.sum()} of {len(same)} samples"
            notes.append(f"{name}: {said}")
    return notes
