"""How a model's values are judged: by what numbers of its element type can hold."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch

from converter.network.arrays import array_of
from converter.network.net import CaffeNet
from converter.onnx.graph import makers
from converter.onnx.runtime import Arrays

from .choices import chooses, downstream, tops_of
from .compare import Comparison, compare, relative_error, softmax_of
from .rounded import run_replaced
from .run import Runs, TorchRun

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
        in_onnx = runs.onnx
        ways = ((in_onnx.shipped, in_onnx.what), (in_onnx.exposed, "every value exposed"))
        compared = [
            self._compare(f"ONNX Runtime, {how}, against torch", got, _Wanted.of(runs))
            for got, how in ways
        ]
        if all(one.passed for one in compared):
            return compared
        choices = _choices(runs)
        return self._compare_choices(runs, choices, compared) if choices else compared

    def _compare_choices(
        self, runs: Runs, choices: Arrays, plain: list[Comparison]
    ) -> list[Comparison]:
        """Compare again, what layers choose with what torch chooses from the same values."""
        wanted = _Wanted.after(runs, {name: runs.onnx.exposed[name] for name in choices})
        titles = (f"{one.title.partition(' in double')[0]}, {_GOES_ON}" for one in plain)
        shipped, exposed = (
            self._compare(title, got, wanted)
            for title, got in zip(titles, (runs.onnx.shipped, runs.onnx.exposed), strict=True)
        )
        exposed.rows = [
            replace(
                row,
                error=relative_error(runs.onnx.exposed[row.blob], choices[row.blob]),
                tolerance=self.tolerance,
                content="choice",
            )
            if row.blob in choices
            else row
            for row in exposed.rows
        ]
        if not exposed.passed:
            return plain
        return [plain[0] if plain[0].passed else _without_choices(shipped, runs, choices), exposed]

    def notes(self, runs: Runs) -> list[str]:
        """Return nothing: the errors say it all."""
        return []

    def _compare(self, title: str, got: Arrays, wanted: _Wanted) -> Comparison:
        comparison = compare(title, got, wanted.values, self.tolerance)
        if comparison.passed or self.asked is not None or self.network != torch.float32:
            return comparison
        exact = wanted.exact()
        ours = {name: wanted.values[name] for name in got if name in exact}
        noise = max((row.error for row in compare("", ours, exact, 0).rows), default=0.0)
        tolerance = min(max(self.tolerance, 2 * noise), LARGEST_FLOAT_NOISE)
        return compare(f"{title} in double (float: off by {noise:.1g})", got, exact, tolerance)


@dataclass(frozen=True)
class _Wanted:
    """What the model's values should be, its appended probabilities among them."""

    values: dict[str, np.ndarray]
    exact: Callable[[], dict[str, np.ndarray]]
    """The same in double."""

    @classmethod
    def of(cls, runs: Runs) -> _Wanted:
        """Return what torch computes."""

        def named(run: TorchRun) -> dict[str, np.ndarray]:
            return softmax_of(runs.onnx.shipped, run.outputs) | run.values

        return cls(named(runs.torch), lambda: named(runs.double))

    @classmethod
    def after(cls, runs: Runs, choices: Arrays) -> _Wanted:
        """Return what torch computes where these values are given."""

        def named(net: CaffeNet) -> dict[str, np.ndarray]:
            values = run_replaced(net, runs.fed, choices)
            outputs = {name: values[name] for name in runs.torch.outputs}
            return softmax_of(runs.onnx.shipped, outputs) | values

        return cls(named(copy.deepcopy(runs.net)), lambda: named(copy.deepcopy(runs.net).double()))


def _choices(runs: Runs) -> dict[str, np.ndarray]:
    """Return what torch chooses from the model's values, where a layer chooses."""
    nodes = makers(runs.onnx.model.proto.graph.node)
    steps, exposed = runs.torch.steps, runs.onnx.exposed
    values = {name: array_of(value) for name, value in runs.fed.items()} | dict(exposed)
    ends = {top for step in steps for top in step.tops} | runs.fed.keys()
    made_by = {top: step for step in steps for top in step.tops}
    chosen: dict[str, np.ndarray] = {}
    for step in steps:
        if chooses(nodes, step, ends):
            chosen |= tops_of(runs.net, step, made_by, values)
    return {name: value for name, value in chosen.items() if name in exposed}


def _without_choices(shipped: Comparison, runs: Runs, choices: Arrays) -> Comparison:
    """Leave out what the file as it ships, which is fused, chooses otherwise than exposed."""
    appended = runs.onnx.shipped.keys() - runs.torch.values.keys()
    depends = downstream(runs.torch.steps, choices) | appended
    judged = [row for row in shipped.rows if row.passed or row.blob not in depends]
    lost = [row.blob for row in shipped.rows if row not in judged]
    if lost:
        said = f"{', '.join(lost)}: other choices than below, where they are judged"
        shipped.title += f" ({said})"
        shipped.skipped = "" if judged else said
    shipped.rows = judged
    return shipped
