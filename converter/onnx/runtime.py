"""Running ONNX models in ONNX Runtime."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import onnxruntime

from prototxt.errors import FormatError, ShapeError, UnsupportedError

Arrays = Mapping[str, np.ndarray]
FLOATS_BY_NAME = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
}

_STATE = onnxruntime.capi.onnxruntime_pybind11_state
UNREADABLE = (_STATE.Fail, _STATE.InvalidProtobuf, _STATE.InvalidGraph, _STATE.InvalidArgument)
"""What ONNX Runtime raises for a file that is no model, or a damaged one."""


_FOLDER = "session.model_external_initializers_file_folder_path"
_SPINNING = "session.intra_op.allow_spinning"
_TAKES_FOLDER = tuple(map(int, onnxruntime.__version__.split(".")[:2])) >= (1, 21)
"""Whether a model that comes as bytes may have weights in files; before, one of a file alone."""


def run_onnx(path: str | PathLike[str], inputs: Arrays) -> dict[str, np.ndarray]:
    """Return the outputs of the file as it ships, ONNX Runtime's optimisations included."""
    return open_onnx(path)(inputs)


def open_onnx(
    path: str | PathLike[str],
    model: bytes | None = None,
    folder: Path = Path(),
    *,
    for_one_run: bool = False,
    fusing: bool = True,
) -> Callable[[Arrays], dict[str, np.ndarray]]:
    """Open a model once for many runs: the function gives the outputs of some inputs.

    `model` stands for the file's content, whose external weights lie in `folder`; errors name
    `path` all the same. One that is opened `for_one_run` keeps no memory for the next, and its
    threads without work do not spin: that lets calls which follow each other begin sooner, and
    takes from others that compute meanwhile. Without `fusing` each node is computed by itself, in
    the layout that it has.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # errors are raised
    if for_one_run:
        options.add_session_config_entry(_SPINNING, "0")
        options.enable_cpu_mem_arena = options.enable_mem_pattern = False
    if not fusing:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    if model is None:
        session = _session(path, str(path), options)
    elif _TAKES_FOLDER:
        options.add_session_config_entry(_FOLDER, str(folder.absolute()))
        session = _session(path, model, options)
    else:
        with NamedTemporaryFile(dir=folder, suffix=".onnx") as file:
            file.write(model)
            file.flush()
            session = _session(path, file.name, options)
    return lambda inputs: _run(session, inputs, path)


def _session(
    path: str | PathLike[str], source: str | bytes, options: onnxruntime.SessionOptions
) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except _STATE.NotImplemented as error:
        raise UnsupportedError(f"ONNX Runtime cannot run the model: {error}") from None
    except UNREADABLE as error:
        raise FormatError(f"{path}: ONNX Runtime cannot load it: {error}") from None


def _run(
    session: onnxruntime.InferenceSession, inputs: Arrays, path: str | PathLike[str]
) -> dict[str, np.ndarray]:
    names = [output.name for output in session.get_outputs()]
    wanted = {value.name: value.type for value in session.get_inputs()}
    if lost := [name for name in wanted if name not in inputs]:
        raise ShapeError(f"{path}: the model wants input {lost[0]!r}", fix="give it with --input")
    feeds = {name: _fitting(np.asarray(inputs[name]), dtype) for name, dtype in wanted.items()}
    with stopped(path):
        outputs = session.run(names, feeds)
    return dict(zip(names, outputs, strict=True))


@contextmanager
def stopped(what: object) -> Iterator[None]:
    """Raise CaffeError for what ONNX Runtime raises while it runs a model, which is called so."""
    try:
        yield
    except _STATE.InvalidArgument as error:
        raise ShapeError(f"{what}: the inputs do not fit the model: {error}") from None
    except (_STATE.Fail, _STATE.RuntimeException) as error:
        raise UnsupportedError(f"{what}: ONNX Runtime stops within the model: {error}") from None


def _fitting(array: np.ndarray, dtype: str) -> np.ndarray:
    """Return an input as the model takes it: numbers of any type for floats, as a network does."""
    wanted = FLOATS_BY_NAME.get(dtype)
    return array.astype(wanted, copy=False) if wanted and array.dtype.kind in "fiub" else array
