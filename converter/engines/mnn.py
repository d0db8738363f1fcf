"""MNN: its converter makes a file of its own of the ONNX file, which its module API runs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from ._modules import missing
from ._signature import signature

INSTALL = "pip install caffeport[mnn]"


def lacks() -> list[str]:
    """Return what is not installed."""
    return missing("MNN")


def version() -> str:
    """Return MNN's version."""
    import MNN

    return f"MNN {MNN.version()}"


def run(path: str | PathLike[str], feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Convert a file and run it once."""
    import MNN

    names = signature(path)
    with TemporaryDirectory() as folder:
        made = _convert(path, Path(folder))
        net = MNN.nn.load_module_from_file(str(made), list(names.inputs), list(names.outputs))
        results = net.forward([_variable(feeds[name]) for name in names.inputs])
        values = results if isinstance(results, list) else [results]
        # Each is kept while it is copied: what `read` gives is its memory.
        tops = [MNN.expr.convert(value, MNN.expr.NCHW) for value in values]
        return {name: np.array(top.read()) for name, top in zip(names.outputs, tops, strict=True)}


def _convert(path: str | PathLike[str], folder: Path) -> Path:
    """Return MNN's file; the converter says that it succeeded whatever it did."""
    made = folder / "net.mnn"
    words = ["-f", "ONNX", "--modelFile", str(path), "--MNNModel", str(made), "--bizCode", "caffe"]
    # Not `-m MNN.tools.mnnconvert`: imported, that module installs a package of its own with pip,
    # and run, it tells a server what was converted.
    program = [sys.executable, "-c", "import sys, MNN, _tools; _tools.mnnconvert(sys.argv)"]
    ran = subprocess.run([*program, *words], capture_output=True, text=True, check=False)
    if ran.returncode or not made.exists():
        said = [line for line in (ran.stdout + ran.stderr).splitlines() if line.strip()]
        raise ValueError(f"mnnconvert wrote no file: {' / '.join(said[-3:])}")
    return made


def _variable(array: np.ndarray) -> object:
    """Return an input as a variable of its shape, in the order of its axes."""
    import MNN

    kinds = {"f": MNN.expr.float, "i": MNN.expr.int, "u": MNN.expr.uint8}
    placed = MNN.expr.placeholder(list(array.shape), MNN.expr.NCHW, kinds[array.dtype.kind])
    placed.write(np.ascontiguousarray(array))
    return placed
