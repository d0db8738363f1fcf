"""What a training reports, in lines worded so that readers of Caffe's logs understand them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeAlias

from .testing import NO_MEAN, Outputs


@dataclass(frozen=True)
class Started:
    """A training begins, or goes on, at the iteration `iter`."""

    name: ClassVar[str] = "start"
    version: str
    solver: str
    net: str
    type: str
    iter: int
    max_iter: int
    device: str
    processes: int
    seed: int
    amp: bool

    def lines(self) -> list[str]:
        """Return nothing: what is loaded and solved is said before."""
        return []


@dataclass(frozen=True)
class Displayed:
    """The mean loss and the last outputs of `iterations` iterations, which took `seconds`.

    `lr` is the rate of the update that follows, None where training is at its end.
    """

    name: ClassVar[str] = "train"
    iter: int
    loss: float
    lr: float | None
    seconds: float
    iterations: int
    outputs: dict[str, list[float]]
    weights: dict[str, float]

    def lines(self) -> list[str]:
        """Return what a person reads of it."""
        done, seconds = self.iterations, self.seconds
        speed = f" ({done / seconds:.4g} iter/s, {seconds:.4g}s/{done} iters)" if done else ""
        lines = [f"Iteration {self.iter}{speed}, loss = {self.loss:g}"]
        lines += _output_lines("Train", self.outputs, self.weights)
        if self.lr is not None:
            lines.append(f"Iteration {self.iter}, lr = {self.lr:g}")
        return lines


@dataclass(frozen=True)
class NetTested:
    """The mean outputs of the test network number `net`; `loss` is None unless it is wanted."""

    name: ClassVar[str] = "test"
    iter: int
    net: int
    outputs: dict[str, list[float]]
    weights: dict[str, float]
    loss: float | None
    without_mean: tuple[str, ...] = ()

    def lines(self) -> list[str]:
        """Return what a person reads of it."""
        lines = [f"Iteration {self.iter}, Testing net (#{self.net})"]
        if self.loss is not None:
            lines.append(f"Test loss: {self.loss:g}")
        lines += _output_lines("Test", self.outputs, self.weights)
        return [*lines, *(f"    Test net output {name} {NO_MEAN}" for name in self.without_mean)]


@dataclass(frozen=True)
class SnapshotWritten:
    """Weights and the solver's state are written to the files `model` and `state`."""

    name: ClassVar[str] = "snapshot"
    iter: int
    model: str
    state: str

    def lines(self) -> list[str]:
        """Return what a person reads of it."""
        return [f"Iteration {self.iter}, wrote {self.model} and {self.state}"]


@dataclass(frozen=True)
class Ended:
    """A training is done, or `interrupted` by a signal."""

    name: ClassVar[str] = "end"
    iter: int
    seconds: float
    interrupted: bool

    def lines(self) -> list[str]:
        """Return nothing: how fast it went is said beside it."""
        return []


Event: TypeAlias = Started | Displayed | NetTested | SnapshotWritten | Ended


def _output_lines(
    phase: str, outputs: dict[str, list[float]], weights: dict[str, float]
) -> list[str]:
    lines = Outputs(outputs, weights).lines()
    return [f"    {phase} net output #{index}: {line}" for index, line in enumerate(lines)]
