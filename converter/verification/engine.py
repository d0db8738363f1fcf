"""An ONNX file in another engine than ONNX Runtime, beside the network in torch."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from tempfile import NamedTemporaryFile, TemporaryDirectory

import numpy as np
import onnx

from converter.engines import Arrays, installed
from converter.npz import write_npz
from converter.onnx.model import OnnxModel

from .compare import NOISE, RELATIVE, Comparison, errors_of
from .run import Runs, wanted

TOLERANCE, HALF_TOLERANCE = 1e-3, 2e-2
"""Of a blob's largest value: engines sum up in other orders, and some by Winograd's products."""


def run_apart(name: str, path: str | PathLike[str], feeds: Arrays) -> dict[str, np.ndarray]:
    """Run a file in an engine, in a process of its own: what ends that process does not end this.

    Raises UsageError where the engine is not installed, RuntimeError in the engine's own words
    where it does not run the file.
    """
    installed(name)
    root = str(Path(__file__).parents[2])
    path_before = os.environ.get("PYTHONPATH")
    paths = os.pathsep.join([root, *([path_before] if path_before else [])])
    with TemporaryDirectory() as folder:
        given, made = Path(folder, "in.npz"), Path(folder, "out.npz")
        with given.open("wb") as file:
            write_npz(file, feeds)
        ran = subprocess.run(
            [sys.executable, "-m", "converter.engines", name, str(path), str(given), str(made)],
            env={**os.environ, "PYTHONPATH": paths},
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode:
            said = [line for line in ran.stderr.splitlines() if line.strip()]
            raise RuntimeError(said[-1] if said else f"its process ended with {ran.returncode}")
        with np.load(made) as archive:
            return dict(archive)


def compare_in_engine(
    name: str, runs: Runs, limit: float | Mapping[str, float] = TOLERANCE
) -> list[Comparison]:
    """Compare a file that runs in an engine with the network in torch.

    It runs as it is and with every value exposed.
    An engine that refuses the file fails; one that takes it and does not give its inner values is
    judged by its outputs. `limit` is one of each blob's largest value, or, for a model of eight
    bits, each blob's of noise. Raises UsageError where the engine is not installed.
    """
    version = installed(name).version()
    model, feeds = runs.model.onnx, runs.model.inputs
    title = f"{version}, {{}}, against torch"
    measure = NOISE if isinstance(limit, Mapping) else RELATIVE
    shipped = Comparison(title.format("the file as it ships"), measure=measure)
    try:
        got = run_apart(name, model.path, feeds)
    except RuntimeError as error:
        shipped.refused = str(error)
        return [shipped]
    values = {top: value for some in wanted(runs) for top, value in some.items()}
    if isinstance(limit, Mapping):
        values = {top: value for top, value in values.items() if top in limit}
    shipped.rows = errors_of(_like(got, values), values, limit, measure)
    what = title.format("every value exposed")
    tops = [top for step in runs.steps for top in step.tops]
    try:
        exposed = _run_exposed(name, model, feeds, tops)
    except RuntimeError as error:
        why = f"it gives no inner values: {error}"
        return [shipped, Comparison(what, skipped=why)]
    rows = errors_of(_like(exposed, values), values, limit, measure)
    return [shipped, Comparison(what, rows, measure=measure)]


def _run_exposed(
    name: str, model: OnnxModel, feeds: Arrays, tops: Sequence[str]
) -> dict[str, np.ndarray]:
    """Run a file with these values among its outputs, those that a node of it makes."""
    proto = onnx.load(model.path, load_external_data=False)  # engines want a file with its weights
    own = {output.name for output in proto.graph.output}
    made = {value for node in proto.graph.node for value in node.output}
    infos = {info.name: info for info in proto.graph.value_info}
    more = [top for top in tops if top in made and top in infos and top not in own]
    proto.graph.output.extend(infos[top] for top in more)
    # Beside the file, where engines find the weights that it does not hold.
    with NamedTemporaryFile(dir=model.path.parent, suffix=".onnx") as file:
        file.write(proto.SerializeToString())
        file.flush()
        return run_apart(name, file.name, feeds)


def _like(got: Arrays, want: Arrays) -> dict[str, np.ndarray]:
    """Return what an engine gives, a vector of one value as a scalar where that is wanted."""
    scalars = {name for name, value in want.items() if np.ndim(value) == 0}
    return {
        name: value.reshape(()) if name in scalars and value.size == 1 else value
        for name, value in got.items()
    }
