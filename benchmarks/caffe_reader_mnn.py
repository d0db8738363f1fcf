"""MNN's converter of Caffe's files, for `benchmarks/caffe_readers.py`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np


def lacks() -> list[str]:
    """Return nothing: the environment was made for it."""
    return []


def version() -> str:
    """Return MNN's version."""
    import MNN

    return f"MNN {MNN.version()}"


def run(path: str, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Convert a definition and the weights beside it, and run them by their blobs' names."""
    import MNN

    wanted = list(np.load(Path(path).with_name("want.npz")))
    with TemporaryDirectory() as folder:
        made = Path(folder, "net.mnn")
        weights = Path(path).with_suffix(".caffemodel")
        words = ["-f", "CAFFE", "--modelFile", str(weights), "--prototxt", path]
        program = [sys.executable, "-c", "import sys, MNN, _tools; _tools.mnnconvert(sys.argv)"]
        ran = subprocess.run(
            [*program, *words, "--MNNModel", str(made), "--bizCode", "caffe"],
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode or not made.exists():
            lines = [line for line in (ran.stdout + ran.stderr).splitlines() if line.strip()]
            raise ValueError(f"mnnconvert wrote no file: {' / '.join(lines[-2:])}")
        net = MNN.nn.load_module_from_file(str(made), list(feeds), wanted)
        given = []
        for array in feeds.values():
            placed = MNN.expr.placeholder(list(array.shape), MNN.expr.NCHW, MNN.expr.float)
            placed.write(np.ascontiguousarray(array))
            given.append(placed)
        results = net.forward(given)
        values = results if isinstance(results, list) else [results]
        # Each is kept while it is copied: what `read` gives is its memory.
        tops = [MNN.expr.convert(value, MNN.expr.NCHW) for value in values]
        return {name: np.array(top.read()) for name, top in zip(wanted, tops, strict=True)}
