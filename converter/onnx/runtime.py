"""Running an ONNX file in ONNX Runtime, as it ships or with every value exposed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import onnx
import onnxruntime
from google.protobuf.message import DecodeError

from converter.text import format_shape
from prototxt.errors import FormatError, ShapeError, UnsupportedError

from .graph import makers

Arrays = Mapping[str, np.ndarray]
FLOATS_BY_NAME = {"tensor(float)": np.float32, "tensor(float16)": np.float16}

_STATE = onnxruntime.capi.onnxruntime_pybind11_state
UNREADABLE = (_STATE.Fail, _STATE.InvalidProtobuf, _STATE.InvalidGraph, _STATE.InvalidArgument)
"""What ONNX Runtime raises for a file that is no model, or a damaged one."""


@dataclass(frozen=True)
class ModelInputs:
    """What a model takes: shapes by name, 0 for a size that is free.

    `image` is the input of bytes, of a model that prepares images itself, or "". `metadata` is what
    the model says of itself.
    """

    shapes: dict[str, tuple[int, ...]]
    image: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


def inputs_of(path: str | PathLike[str]) -> ModelInputs:
    """Return what a model takes."""
    model = load_model(path)
    inputs = model.graph.input
    types = {value.name: value.type.tensor_type for value in inputs}
    shapes = {name: tuple(dim.dim_value for dim in one.shape.dim) for name, one in types.items()}
    images = (name for name, one in types.items() if one.elem_type == onnx.TensorProto.UINT8)
    said = {entry.key: entry.value for entry in model.metadata_props}
    return ModelInputs(shapes, next(images, ""), said)


def check_shapes(
    path: str | PathLike[str], inputs: ModelInputs, shapes: Mapping[str, tuple[int, ...]]
) -> None:
    """Raise ShapeError for an input that the model has by that name, and in another shape."""
    for name, wanted in inputs.shapes.items():
        got = shapes.get(name, wanted)
        alike = len(got) == len(wanted)
        if not alike or any(want not in (0, size) for size, want in zip(got, wanted, strict=True)):
            raise ShapeError(
                f"{Path(path).name}: input {name!r} is {_text(got)}, the model takes "
                f"{_text(wanted)}",
                fix="--input-shape and --dynamic say which sizes a model is written for, and "
                "--family or --mean prepares a photo",
            )


def _text(shape: tuple[int, ...]) -> str:
    return format_shape((size or "any" for size in shape), " x ")


def run_onnx(path: str | PathLike[str], inputs: Arrays) -> dict[str, np.ndarray]:
    """Return the outputs of the file as it ships, ONNX Runtime's optimisations included."""
    return _run(_session(path), inputs, path)


def open_onnx(path: str | PathLike[str]) -> Callable[[Arrays], dict[str, np.ndarray]]:
    """Open a model once for many runs: the function gives the outputs of some inputs."""
    session = _session(path)
    return lambda inputs: _run(session, inputs, path)


def run_exposed(
    path: str | PathLike[str], inputs: Arrays, names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Return these values of the graph, each made an output.

    Exposing a value keeps ONNX Runtime from fusing what computes it, so that the first wrong one
    can be told.
    """
    model = load_model(path)
    have = {output.name for output in model.graph.output}
    infos = {info.name: info for info in model.graph.value_info}
    model.graph.output.extend(infos[name] for name in names if name not in have and name in infos)
    return _run_model(path, model, inputs)


def run_part(
    path: str | PathLike[str], inputs: Arrays, names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Return these values of the graph, computed from values inside of it.

    Empty where `inputs` do not determine them.
    """
    model = load_model(path)
    graph = model.graph
    infos = {info.name: info for info in (*graph.input, *graph.value_info, *graph.output)}
    made_by = makers(graph.node)
    known = {weight.name for weight in graph.initializer} | inputs.keys() | {""}
    needed: set[int] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in made_by:
            return {}
        if id(made_by[name]) not in needed:
            needed.add(id(made_by[name]))
            waiting += [value for value in made_by[name].input if value not in known]
    nodes = [node for node in graph.node if id(node) in needed]
    read = {name for node in nodes for name in node.input} & inputs.keys()
    part = onnx.ModelProto()
    part.CopyFrom(model)
    for part_of in ("node", "input", "output", "value_info"):
        part.graph.ClearField(part_of)
    part.graph.node.extend(nodes)
    part.graph.input.extend(infos[name] for name in sorted(read))
    part.graph.output.extend(infos[name] for name in names)
    return _run_model(path, part, inputs)


def _run_model(
    path: str | PathLike[str], model: onnx.ModelProto, inputs: Arrays
) -> dict[str, np.ndarray]:
    external = any(
        weight.data_location == onnx.TensorProto.EXTERNAL for weight in model.graph.initializer
    )
    if not external:
        return _run(_session(path, model.SerializeToString()), inputs, path)
    # ONNX Runtime up to 1.20 finds the weights of a model that comes as a file only.
    with NamedTemporaryFile(dir=Path(path).parent, suffix=".onnx") as exposed:
        exposed.write(model.SerializeToString())
        exposed.flush()
        return _run(_session(exposed.name), inputs, path)


def load_model(path: str | PathLike[str]) -> onnx.ModelProto:
    """Return a model, without the weights that are in a file beside it."""
    try:
        return onnx.load(str(path), format="protobuf", load_external_data=False)
    except DecodeError:
        raise FormatError(f"{path}: no ONNX model, or a damaged one") from None


def _session(path: str | PathLike[str], model: bytes | None = None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    source = str(path) if model is None else model
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
    try:
        outputs = session.run(names, feeds)
    except _STATE.InvalidArgument as error:
        raise ShapeError(f"{path}: the inputs do not fit the model: {error}") from None
    return dict(zip(names, outputs, strict=True))


def _fitting(array: np.ndarray, dtype: str) -> np.ndarray:
    """Return an input as the model takes it: half models may take either."""
    wanted = FLOATS_BY_NAME.get(dtype)
    either = wanted is not None and array.dtype in FLOATS_BY_NAME.values()
    return array.astype(wanted, copy=False) if either else array
