"""Blobs that Caffe computed, whole or as samples, in an `.npz` file.

A blob stands as `BLOB` whole, or as `BLOB|shape`, `BLOB|stats` (mean, standard deviation, largest
magnitude) and `BLOB|sample` (64 values at evenly spread places of the flattened blob).
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from prototxt.errors import FormatError

from .compare import BlobError, Comparison, relative_error

SAMPLES = 64
PARTS = ("shape", "stats", "sample")


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
        if part in PARTS:
            golden.setdefault(blob, {})[part] = array
        else:
            golden.setdefault(key, {})["whole"] = array
    for blob, parts in golden.items():
        if "whole" not in parts and parts.keys() != set(PARTS):
            missing = ", ".join(sorted(set(PARTS) - parts.keys()))
            raise FormatError(f"{fspath(path)}: blob {blob!r} has no {missing}")
    return golden


def sample_of(blob: np.ndarray) -> np.ndarray:
    """Return the values of a blob at the places where a golden file samples it."""
    flat = np.asarray(blob).reshape(-1)
    count = min(SAMPLES, flat.size)
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


def compare_with_golden(
    title: str,
    got: Mapping[str, Any],
    path: str | PathLike[str],
    tolerance: float,
    *,
    float_run: str | PathLike[str] | None = None,
) -> Comparison:
    """Compare blobs with a golden file, in the network's order.

    `float_run` is a golden file of Caffe's own float run: the median and the worst error may then
    be twice what that run shows against the golden file, whatever `tolerance` is.
    """
    golden = read_golden(path)
    common = [name for name in got if name in golden]
    if not common:
        raise FormatError(
            f"{fspath(path)}: has none of the network's blobs", fix="is it this network's file?"
        )
    median_tolerance = None
    if float_run is not None:
        noise = float_noise(golden, read_golden(float_run), common)
        tolerance, median_tolerance = 2 * max(noise), 2 * float(np.median(noise))
    rows = [
        BlobError(name, tuple(got[name].shape), golden_error(got[name], golden[name]), tolerance)
        for name in common
    ]
    return Comparison(f"{title} against {Path(path).name}", rows, median_tolerance)


def float_noise(
    golden: Mapping[str, Mapping[str, np.ndarray]],
    float_run: Mapping[str, Mapping[str, np.ndarray]],
    names: list[str],
) -> list[float]:
    """Return how far Caffe's float run is from its double run, blob by blob."""
    noise = []
    for name in names:
        part = "whole" if "whole" in golden[name] else "sample"
        largest = None if part == "whole" else float(golden[name]["stats"][2])
        noise.append(relative_error(float_run[name][part], golden[name][part], largest))
    return noise
