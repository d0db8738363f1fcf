"""An ONNX file that was parsed: what it takes, and its values run one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError

from converter.text import format_shape
from prototxt.errors import FormatError, ShapeError

from .graph import makers, reads, rounds
from .images import Images
from .runtime import Arrays, open_onnx
from .skeleton import read_skeleton


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
    """An ONNX file, without its weights.

    `proto` has the small ones; the others are external data: places in the file itself, or in that
    beside it. Raises FormatError for one that is no model.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)
        real = self.path.resolve()  # ONNX Runtime follows no link to external data
        try:
            self.proto = read_skeleton(real)
            self._weights_near = real
            if _keeps_weights_beside(self.proto, real.name):
                self._weights_near = self.path
                if real != self.path.absolute():
                    self.proto = onnx.load(str(path), "protobuf", load_external_data=False)
        except (DecodeError, FormatError):
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

    def walk(self, inputs: Arrays, stretches: Sequence[Sequence[str]]) -> Iterator[Arrays]:
        """Yield these values of the graph, a stretch of them at a time, each made an output.

        So ONNX Runtime fuses nothing of what computes it, and the first wrong one can be told. Each
        stretch is run by itself from the values of those before: what no later one reads is let go.
        With the last come the graph's own outputs.
        """
        parts = self._parts(inputs.keys(), stretches)
        reads_later = [set[str]()]
        for part in reversed(parts):
            reads_later.append(reads_later[-1] | {value.name for value in part.graph.input})
        known = dict(inputs)
        for part, read_later in zip(parts, reads_later[-2::-1], strict=True):
            values = self._run_part(part, known) if part.graph.output else {}
            known = {name: one for name, one in (known | values).items() if name in read_later}
            yield values
            del values

    def run_exposed(self, inputs: Arrays, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Return these values of the graph, each made an output, and its own outputs."""
        (values,) = self.walk(inputs, [names])
        return dict(values)

    def run_part(self, inputs: Arrays, names: Sequence[str]) -> dict[str, np.ndarray]:
        """Return these values of the graph, computed from values inside of it.

        Empty where `inputs` do not determine them.
        """
        part = self._part(inputs.keys(), names)
        return {} if part is None else self._run_part(part, inputs)

    def _parts(
        self, inputs: Iterable[str], stretches: Sequence[Sequence[str]]
    ) -> list[onnx.ModelProto]:
        """Return a model for each stretch, which takes values of those before it."""
        own = [output.name for output in self.proto.graph.output]
        known = set(inputs)
        parts: list[onnx.ModelProto] = []
        for index, names in enumerate(stretches):
            exposed = dict.fromkeys(name for name in names if name in self._infos)
            if index == len(stretches) - 1:
                exposed |= dict.fromkeys(name for name in own if name not in known)
            part = self._part(known, list(exposed))
            if part is None:  # an input is lacking: ONNX Runtime names it
                return [*parts, self.proto]
            parts.append(part)
            known |= exposed.keys()
        return parts

    def _part(self, known: Iterable[str], names: Sequence[str]) -> onnx.ModelProto | None:
        """Return a model of these values' nodes alone; None where `known` do not determine them."""
        graph, known = self.proto.graph, set(known)
        weights = {weight.name: weight for weight in graph.initializer}
        nodes = self._nodes_between(known | weights.keys() | {""}, names)
        if nodes is None:
            return None
        read = {name for node in nodes for name in reads(node)} | set(names)
        part = onnx.ModelProto(
            ir_version=self.proto.ir_version, opset_import=self.proto.opset_import
        )
        part.graph.name = graph.name
        part.graph.node.extend(nodes)
        part.graph.initializer.extend(one for name, one in weights.items() if name in read)
        part.graph.input.extend(self._infos[name] for name in sorted(read & known))
        part.graph.output.extend(self._infos[name] for name in names)
        return part

    def _nodes_between(self, known: set[str], names: Sequence[str]) -> list[onnx.NodeProto] | None:
        """Return the nodes that make values of known ones, in their order; None if they cannot."""
        needed: set[int] = set()
        waiting = [name for name in names if name not in known]
        while waiting:
            name = waiting.pop()
            if name not in self._made_by:
                return None
            node = self._made_by[name]
            if id(node) not in needed:
                needed.add(id(node))
                inner = (value for value in reads(node) if value in self._made_by)
                waiting += [value for value in (*node.input, *inner) if value not in known]
        return [node for node in self._nodes if id(node) in needed]

    @cached_property
    def _nodes(self) -> list[onnx.NodeProto]:
        """The graph's nodes, each one object however often it is asked for."""
        return list(self.proto.graph.node)

    @cached_property
    def _made_by(self) -> dict[str, onnx.NodeProto]:
        """The node that makes each value."""
        return makers(self._nodes)

    def exposes(self, name: str) -> bool:
        """Tell whether a value of the graph can be made an output."""
        return name in self._infos

    @cached_property
    def _infos(self) -> dict[str, onnx.ValueInfoProto]:
        """The type of each value that has one and is there.

        Optimisers leave the types of values that they have fused away.
        """
        graph = self.proto.graph
        there = {one.name for one in graph.input} | makers(graph.node).keys()
        said = (*graph.input, *graph.value_info, *graph.output)
        return {one.name: one for one in said if one.name in there}

    def run(self, inputs: Arrays) -> dict[str, np.ndarray]:
        """Return the outputs of the file as it ships, ONNX Runtime's optimisations included."""
        return self._run(self.proto, inputs)

    def _run_part(self, part: onnx.ModelProto, inputs: Arrays) -> dict[str, np.ndarray]:
        # What rounds becomes ONNX Runtime's arithmetic of whole numbers where it may fuse.
        return self._run(part, inputs, fusing=any(map(rounds, part.graph.node)))

    def _run(
        self, proto: onnx.ModelProto, inputs: Arrays, *, fusing: bool = True
    ) -> dict[str, np.ndarray]:
        model, folder = proto.SerializeToString(), self._weights_near.parent
        run = open_onnx(self.path, model, folder, for_one_run=True, fusing=fusing)
        return run(inputs)


def _keeps_weights_beside(proto: onnx.ModelProto, name: str) -> bool:
    """Tell whether a model has weights in another file than its own, of this name."""
    return any(
        entry.key == "location" and entry.value != name
        for weight in proto.graph.initializer
        for entry in weight.external_data
    )


def _text(shape: tuple[int, ...]) -> str:
    return format_shape((size or "any" for size in shape), " x ")


def run_exposed(
    path: str | PathLike[str], inputs: Arrays, names: Sequence[str]
) -> dict[str, np.ndarray]:
    """Return these values of a file's graph, each made an output."""
    return OnnxModel(path).run_exposed(inputs, names)
