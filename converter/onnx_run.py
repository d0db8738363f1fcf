"""Running an ONNX file in ONNX Runtime, as it ships or with every value exposed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from prototxt.errors import UnsupportedError

Arrays = Mapping[str, np.ndarray]


def run_onnx(path: str | PathLike[str], inputs: Arrays) -> dict[str, np.ndarray]:
    """Return the outputs of the file as it ships, ONNX Runtime's optimisations included."""
    return _run(_session(str(path)), inputs)


def run_exposed(
    path: str | PathLike[str], inputs: Arrays, names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Return these values of the graph, each made an output.

    Exposing a value keeps ONNX Runtime from fusing what computes it, so that the first wrong one
    can be told.
    """
    model = onnx.load(str(path), load_external_data=False)
    have = {output.name for output in model.graph.output}
    kinds = {info.name: info for info in model.graph.value_info}
    model.graph.output.extend(kinds[name] for name in names if name not in have and name in kinds)
    beside = any(
        weight.data_location == onnx.TensorProto.EXTERNAL for weight in model.graph.initializer
    )
    options = onnxruntime.SessionOptions()
    if beside:  # where ONNX Runtime looks for the weights of a model that comes as bytes
        folder = str(Path(path).resolve().parent)
        options.add_session_config_entry(
            "session.model_external_initializers_file_folder_path", folder
        )
    return _run(_session(model.SerializeToString(), options), inputs)


def _session(
    model: str | bytes, options: onnxruntime.SessionOptions | None = None
) -> onnxruntime.InferenceSession:
    options = options or onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except onnxruntime.capi.onnxruntime_pybind11_state.NotImplemented as error:
        raise UnsupportedError(f"ONNX Runtime cannot run the model: {error}") from None


def _run(session: onnxruntime.InferenceSession, inputs: Arrays) -> dict[str, np.ndarray]:
    names = [output.name for output in session.get_outputs()]
    feeds = {value.name: inputs[value.name] for value in session.get_inputs()}
    return dict(zip(names, session.run(names, feeds), strict=True))
