"""How a model's outputs compare with another's, over many feeds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from converter.onnx.runtime import Arrays

from .decibels import decibels


@dataclass(frozen=True)
class Agreement:
    """One output: its signal-to-noise ratio, and how often its highest score is the other's.

    `samples` is 0 for an output that is no scores.
    """

    output: str
    decibels: float
    same: int = 0
    samples: int = 0

    def __str__(self) -> str:
        said = f"{self.output!r} has a signal-to-noise ratio of {self.decibels:.1f} dB"
        if not self.samples:
            return said
        classes = f"its top class is the float32 network's in {self.same} of {self.samples} samples"
        return f"{said}, {classes}"


def agreements(wanted: Iterable[Arrays], got: Iterable[Arrays]) -> list[Agreement]:
    """Compare what two models make of the same feeds, output by output."""
    noise: dict[str, float] = {}
    signal: dict[str, float] = {}
    same: dict[str, int] = {}
    samples: dict[str, int] = {}
    for theirs, ours in zip(wanted, got, strict=True):
        for name, want in theirs.items():
            have, want = np.asarray(ours[name], np.float64), np.asarray(want, np.float64)
            error = float(np.square(have - want).sum())
            noise[name] = noise.get(name, 0.0) + error
            signal[name] = signal.get(name, 0.0) + float(np.square(want).sum())
            classes = top_classes(have), top_classes(want)
            if classes[0] is not None and classes[1] is not None:
                same[name] = same.get(name, 0) + int((classes[0] == classes[1]).sum())
                samples[name] = samples.get(name, 0) + len(want)
    return [
        Agreement(
            name, decibels(noise[name], signal[name]), same.get(name, 0), samples.get(name, 0)
        )
        for name in noise
    ]


def top_classes(scores: np.ndarray) -> np.ndarray | None:
    """Return each sample's class of the highest score; None of what is no scores of classes."""
    if scores.ndim < 2 or not scores.shape[1] == scores[:1].size > 1:
        return None
    best: np.ndarray = scores.reshape(len(scores), -1).argmax(1)
    return best
