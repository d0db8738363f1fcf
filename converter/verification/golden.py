"""Blobs that Caffe computed, whole or as samples, in an `.npz` file.

A blob stands as `BLOB` whole, or as `BLOB|shape`, `BLOB|stats` (mean, standard deviation, largest
magnitude) and `BLOB|sample` (64 values at evenly spread places of the flattened blob).
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from prototxt.errors import FormatError

from .compare import BlobError, Comparison, content_of, relative_error

SAMPLE_SIZE = 64
SAMPLED_PARTS = ("shape", "stats", "sample")

Blobs = Mapping[str, Mapping[str, np.ndarray]]
"""Each blob's parts: whole, or shape, stats and sample."""


@dataclass(frozen=True)
class Golden:
    """A golden file, and that of Caffe's float run where it is to set the limits."""

    path: Path
    blobs: Blobs
    float_run: Golden | None = None

    @classmethod
    def read(
        cls, path: str | PathLike[str], float_run: str | PathLike[str] | None = None
    ) -> Golden:
        """Read the files; raises FormatError for a damaged one."""
        rough = None if float_run is None else cls.read(float_run)
        return cls(Path(path), read_golden(path), rough)

    def compare(
        self,
        title: str,
        blobs: Iterable[Mapping[str, Any]],
        names: Collection[str],
        tolerance: float,
    ) -> Comparison:
        """Compare blobs, of these names, with Caffe's as they are computed, some at a time.

        With a float run the median and the worst error may be twice what that run shows against
        this file, whatever `tolerance` is.
        """
        common = [name for name in names if name in self.blobs]
        if not common:
            raise FormatError(
                f"{self.path}: has none of the network's blobs", fix="is it this network's file?"
            )
        median_tolerance = None
        if self.float_run is not None:
            noise = self._noise_of(self.float_run, common)
            tolerance, median_tolerance = 2 * max(noise), 2 * float(np.median(noise))
        rows = [
            BlobError(
                name,
                tuple(value.shape),
                golden_error(value, self.blobs[name]),
                tolerance,
                content_of(self.blobs[name].get("whole", self.blobs[name].get("sample"))),
            )
            for some in blobs
            for name, value in some.items()
            if name in self.blobs
        ]
        return Comparison(f"{title} against {self.path.name}", rows, median_tolerance)

    def _noise_of(self, float_run: Golden, names: Sequence[str]) -> list[float]:
        """Return the float run's errors; raises FormatError where it was recorded otherwise."""
        for name in names:
            if float_run.blobs.get(name, {}).keys() != self.blobs[name].keys():
                raise FormatError(
                    f"{float_run.path}: has no blob {name!r} as {self.path.name} has it",
                    fix="record both runs in the same way",
                )
        return float_noise(self.blobs, float_run.blobs, names)


def read_golden(path: str | PathLike[str]) -> dict[str, dict[str, np.ndarray]]:
    """Return `{blob: {"whole": ...} or {"shape": ..., "stats": ..., "sample": ...}}`."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)
    except (ValueError, TypeError, EOFError, KeyError, BadZipFile, zlib.error):
        raise FormatError(f"{fspath(path)}: no .npz file of arrays, or a damaged one") from None
    golden: dict[str, dict[str, np.ndarray]] = {}
    for key, array in arrays.items():
        blob, _, part = key.rpartition("|")
        if part in SAMPLED_PARTS:
            golden.setdefault(blob, {})[part] = array
        else:
            golden.setdefault(key, {})["whole"] = array
    for blob, parts in golden.items():
        if "whole" not in parts and parts.keys() != set(SAMPLED_PARTS):
            missing = ", ".join(sorted(set(SAMPLED_PARTS) - parts.keys()))
            raise FormatError(f"{fspath(path)}: blob {blob!r} has no {missing}")
    return golden


def sample_of(blob: np.ndarray) -> np.ndarray:
    """Return the values of a blob at the places where a golden file samples it."""
    flat = np.asarray(blob).reshape(-1)
    count = min(SAMPLE_SIZE, flat.size)
    return flat[np.unique(np.linspace(0, flat.size - 1, count).astype(np.int64))]


def golden_error(got: np.ndarray, parts: Mapping[str, np.ndarray]) -> float:
    """Return a blob's error against its golden parts, of the blob's largest value."""
    if "whole" in parts:
        return relative_error(got, parts["whole"])
    if tuple(got.shape) != tuple(parts["shape"].tolist()):
        return float("inf")
    largest = float(parts["stats"][2])
    exact = np.asarray(got, np.float64)
    stats = (
        np.array([exact.mean(), exact.std(), np.abs(exact).max()]) if exact.size else np.zeros(3)
    )
    return max(
        relative_error(sample_of(got), parts["sample"], largest),
        relative_error(stats, parts["stats"], largest),
    )


def float_noise(golden: Blobs, float_run: Blobs, names: Sequence[str]) -> list[float]:
    """Return how far Caffe's float run is from its double run, blob by blob."""
    noise = []
    for name in names:
        part = "whole" if "whole" in golden[name] else "sample"
        largest = None if part == "whole" else float(golden[name]["stats"][2])
        noise.append(relative_error(float_run[name][part], golden[name][part], largest))
    return noise
