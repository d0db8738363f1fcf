"""Judging a model of float16: against torch in double, by what rounding to float16 alone does."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from converter.network.arrays import array_of
from converter.network.steps import Step
from converter.onnx.runtime import Arrays

from .choices import downstream, tops_of
from .compare import BlobError, Comparison, compare, relative_error, softmax_of
from .half_model import HalfModel
from .rounded import run_replaced, with_rounded_weights
from .run import Runs

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
        choices = self._choices(runs)
        expected = self._expect(runs, choices)
        return [
            self._shipped(runs, expected, downstream(runs.torch.steps, choices)),
            self._exposed(runs, expected, choices),
        ]

    def notes(self, runs: Runs) -> list[str]:
        """Say how often the highest score of each output is the float32 network's."""
        return agreement(runs.onnx.shipped, runs.torch.outputs)

    def _choices(self, runs: Runs) -> dict[str, _Choice]:
        """Return what the layers that choose made in ONNX Runtime, and make in torch."""
        steps, exposed = runs.torch.steps, runs.onnx.exposed
        tops = {top for step in steps for top in step.tops} | runs.fed.keys()
        values = {name: array_of(value) for name, value in runs.fed.items()} | dict(exposed)
        choices: dict[str, _Choice] = {}
        for step in steps:
            if self.model.chooses(step, tops):
                alone = _alone(runs, step, values)
                choices |= {
                    top: _Choice(exposed[top], *alone[top]) for top in step.tops if top in exposed
                }
        return choices

    def _expect(self, runs: Runs, choices: Mapping[str, _Choice]) -> _Expected:
        """Return the values in double, and how far each may be off."""
        made = {name: choice.made for name, choice in choices.items()}
        exact = run_replaced(copy.deepcopy(runs.net).double(), runs.fed, made)
        noisy = with_rounded_weights(runs.net, self.model)
        rounded = run_replaced(noisy, runs.fed, made, self.model.values)
        limits: dict[str, float] = {}
        noise = 0.0
        for name, value in exact.items():
            if name not in choices:
                noise = max(noise, relative_error(rounded[name], value))
            limits[name] = self._limit(noise)
        return _Expected(exact, limits, noise)

    def _limit(self, noise: float) -> float:
        if self.asked is not None:
            return self.asked
        return min(max(LEAST_TOLERANCE, TIMES_ROUNDING * noise), LARGEST_TOLERANCE)

    def _shipped(self, runs: Runs, expected: _Expected, downstream: set[str]) -> Comparison:
        """Compare the outputs; fused, the file rounds elsewhere, and may choose otherwise."""
        shipped = runs.onnx.shipped
        exact = {name: expected.values[name] for name in runs.torch.outputs}
        probabilities = softmax_of(shipped, exact)
        most = max(expected.limits.values(), default=LEAST_TOLERANCE)
        comparison = compare(
            f"ONNX Runtime, {runs.onnx.what}, {expected.title}",
            shipped,
            expected.values | probabilities,
            expected.limits | dict.fromkeys(probabilities, most),
        )
        judged = [row for row in comparison.rows if row.passed or row.blob not in downstream]
        if comparison.rows and not judged:
            names = ", ".join(shipped)
            comparison.skipped = f"{names}: other choices than below, where they are judged"
        comparison.rows = judged
        return comparison

    def _exposed(
        self, runs: Runs, expected: _Expected, choices: Mapping[str, _Choice]
    ) -> Comparison:
        """Compare every value; a choice with what torch chooses from the same inputs."""
        title = f"ONNX Runtime, every value exposed, {expected.title}"
        comparison = compare(title, runs.onnx.exposed, expected.values, expected.limits)
        comparison.rows = [
            self._choice_row(row, choices[row.blob]) if row.blob in choices else row
            for row in comparison.rows
        ]
        return comparison

    def _choice_row(self, row: BlobError, choice: _Choice) -> BlobError:
        tolerance = self.asked
        if tolerance is None:
            in_half = row.blob in self.model.values
            tolerance = LEAST_TOLERANCE if in_half else FLOAT32_LAYER_TOLERANCE
        return replace(row, error=relative_error(choice.alone, choice.wanted), tolerance=tolerance)


@dataclass(frozen=True)
class _Choice:
    """A top of a layer that chooses: in the whole model, run alone, and alone in torch."""

    made: np.ndarray
    alone: np.ndarray
    wanted: np.ndarray


@dataclass(frozen=True)
class _Expected:
    """The values in double, how far each may be off, and the most that rounding alone does."""

    values: dict[str, np.ndarray]
    limits: dict[str, float]
    noise: float

    @property
    def title(self) -> str:
        return f"against torch in double (rounding to float16 alone: off by {self.noise:.1g})"


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


def _alone(runs: Runs, step: Step, values: Arrays) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return a layer's tops of the same inputs in ONNX Runtime and in torch.

    The part is run by itself: in a whole model ONNX Runtime leaves casts to float16 and back out.
    It begins at the nearest of `values`: the file may leave out what makes a bottom.
    """
    inputs = {name: values[name] for name in values.keys() - step.tops}
    got = runs.onnx.model.run_part(inputs, step.tops)
    makers = {top: one for one in runs.torch.steps for top in one.tops}
    tops = tops_of(runs.net, step, makers, values)
    return {name: (got[name], top) for name, top in tops.items() if name in got}
