"""The archives of what real Caffe computed (`tests/reference`), and comparing with them."""

from __future__ import annotations

import atexit
import json
import shutil
import tarfile
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from .paths import ROOT

ARCHIVES = ROOT / "tests" / "reference"


@cache
def unpack(name: str) -> Path:
    """Return a folder with an archive's files; it is gone when the process ends."""
    folder = Path(tempfile.mkdtemp(prefix=f"caffe-{name}-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    with tarfile.open(ARCHIVES / f"{name}.tar.xz") as tar:
        tar.extractall(folder, filter="data")
    return folder


@cache
def index(name: str, file: str) -> Any:
    """Return one JSON file of an archive."""
    return json.loads((unpack(name) / file).read_text())


def assert_close(got: Any, want: Any, place: str, tolerance: float = 1e-9) -> None:
    """Compare with what Caffe computed: at most `tolerance` of the array's largest finite value.

    Shapes must be equal, and NaN and infinity must stand where Caffe has them.
    """
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape, f"{place}: shape {got.shape}, Caffe's is {want.shape}"
    finite = np.isfinite(want)
    assert np.array_equal(got[~finite], want[~finite], equal_nan=True), f"{place}: NaN or infinity"
    if not finite.any():
        return
    error = np.abs(got[finite] - want[finite]).max()
    largest = np.abs(want[finite]).max()
    assert error <= tolerance * largest, f"{place}: off by {error:.3g} of {largest:.3g}"
