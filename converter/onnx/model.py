"""An ONNX file that was parsed: what it takes, and its values run one by one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from tempfile import NamedTemporaryFile

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from converter.text import format_shape
from prototxt.errors import FormatError, ShapeError

from .graph import makers, reads
from .images import Images
from .runtime import Arrays, open_onnx


@dataclass(frozen=True)
class ModelInputs:
    """What a model takes: shapes by name, 0 for a size that is free.

    `image` is the input of bytes, of a model that prepares images itself, or "". `metadata` is what
    the model says of itself.
    """

    shapes: dict[str, tuple[int, ...]]
    image: str = ""
    metadata: Mapping[str, str] = field(default_factory=dict)


class OnnxModel:
    """An ONNX file, without the weights that are in a file beside it.

    Raises FormatError for one that is no model.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self.proto = onnx.load(str(path), format="protobuf", load_external_data=False)
        except DecodeError:
            raise FormatError(f"{path}: no ONNX model, or a damaged one") from None

    @cached_property
    def inputs(self) -> ModelInputs:
        """What the model takes."""
        types = {value.name: value.type.tensor_type for value in self.proto.graph.input}
        shapes = {
            name: tuple(dim.dim_value for dim in one.shape.dim) for name, one in types.items()
        }
        images = (name for name, one in types.items() if one.elem_type == onnx.TensorProto.UINT8)
        said = {entry.key: entry.value for entry in self.proto.metadata_props}
        return ModelInputs(shapes, next(images, ""), said)

    @cached_property
    def images(self) -> Images | None:
        """What the model says of images; None if it says nothing."""
        return Images.read(self.inputs.metadata, self.path.parent)

    def check_shapes(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raise ShapeError for an input that the model has by that name, and in another shape."""
        for name, wanted in self.inputs.shapes.items():
            got = shapes.get(name, wanted)
            sizes = zip(got, wanted, strict=False)
            if len(got) != len(wanted) or any(want not in (0, size) for size, want in sizes):
                raise ShapeError(
                    f"{self.path.name}: input {name!r} is {_text(got)}, the model takes "
                    f"{_text(wanted)}",
                    fix="--input-shape and --dynamic say which sizes a model is written for, and "
                    "--family or --mean prepares a photo",
                )

    def run_exposed(self, inputs: Arrays, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Return these values of the graph, each made an output.

        Exposing a value keeps ONNX Runtime from fusing what computes it, so that the first wrong
        one can be told.
        """
        outputs = self.proto.graph.output
        own = [output.name for output in outputs]
        infos = {info.name: info for info in self.proto.graph.value_info}
        outputs.extend(infos[name] for name in names if name not in own and name in infos)
        try:
            return self._run(self.proto, inputs)
        finally:
            del outputs[len(own) :]

    def run_part(self, inputs: Arrays, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Return these values of the graph, computed from values inside of it.

        Empty where `inputs` do not determine them.
        """
        graph = self.proto.graph
        weights = {weight.name: weight for weight in graph.initializer}
        nodes = _nodes_between(graph.node, inputs.keys() | weights.keys() | {""}, names)
        if not nodes:
            return {}
        infos = {info.name: info for info in (*graph.input, *graph.value_info, *graph.output)}
        read = {name for node in nodes for name in reads(node)}
        part = onnx.ModelProto(
            ir_version=self.proto.ir_version, opset_import=self.proto.opset_import
        )
        part.graph.name = graph.name
        part.graph.node.extend(nodes)
        part.graph.initializer.extend(weights[name] for name in weights if name in read)
        part.graph.input.extend(infos[name] for name in sorted(read & inputs.keys()))
        part.graph.output.extend(infos[name] for name in names)
        return self._run(part, inputs)

    def _run(self, proto: onnx.ModelProto, inputs: Arrays) -> dict[str, np.ndarray]:
        content = proto.SerializeToString()
        external = onnx.TensorProto.EXTERNAL
        if all(weight.data_location != external for weight in proto.graph.initializer):
            return open_onnx(self.path, content)(inputs)
        # ONNX Runtime up to 1.20 finds the weights of a model that comes as a file only.
        with NamedTemporaryFile(dir=self.path.parent, suffix=".onnx") as file:
            file.write(content)
            file.flush()
            return open_onnx(file.name)(inputs)


def _nodes_between(
    nodes: Iterable[onnx.NodeProto], known: set[str], names: Sequence[str]
) -> list[onnx.NodeProto]:
    """Return the nodes that make values of known ones, in their order; none if they cannot."""
    nodes = list(nodes)
    made_by = makers(nodes)
    needed: set[int] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in made_by:
            return []
        if id(made_by[name]) not in needed:
            needed.add(id(made_by[name]))
            waiting += [value for value in made_by[name].input if value not in known]
    return [node for node in nodes if id(node) in needed]


def _text(shape: tuple[int, ...]) -> str:
    return format_shape((size or "any" for size in shape), " x ")


def run_exposed(
    path: str | PathLike[str], inputs: Arrays, names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Return these values of a file's graph, each made an output."""
    return OnnxModel(path).run_exposed(inputs, names)
