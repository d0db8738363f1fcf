"""How a model's values are judged: by what numbers of its element type can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from converter.onnx.runtime import Arrays

from .compare import Comparison, compare, softmax_of
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
    two right float runs of SKNet-101 differ by 5e-4.
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
        return [
            self._compare(f"ONNX Runtime, {how}, against torch", got, runs) for got, how in ways
        ]

    def notes(self, runs: Runs) -> list[str]:
        """Return nothing: the errors say it all."""
        return []

    def _compare(self, title: str, got: Arrays, runs: Runs) -> Comparison:
        want = _wanted(runs, runs.torch)
        comparison = compare(title, got, want, self.tolerance)
        if comparison.passed or self.asked is not None or self.network != torch.float32:
            return comparison
        exact = _wanted(runs, runs.double)
        ours = {name: want[name] for name in got if name in exact}
        noise = max((row.error for row in compare("", ours, exact, 0).rows), default=0.0)
        tolerance = min(max(self.tolerance, 2 * noise), LARGEST_FLOAT_NOISE)
        return compare(f"{title} in double (float: off by {noise:.1g})", got, exact, tolerance)


def _wanted(runs: Runs, run: TorchRun) -> dict[str, np.ndarray]:
    """Return what the model's values should be, its appended probabilities among them."""
    return softmax_of(runs.onnx.shipped, run.outputs) | run.values
