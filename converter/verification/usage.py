"""How an ONNX file is used: what it takes and gives, what images need, a program that runs it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import onnx

from converter.onnx.images import Images
from converter.onnx.model import OnnxModel
from converter.text import format_markdown

from .snippet import snippet


@dataclass(frozen=True)
class Value:
    """An input or an output: a free size is a name, or "any" where it has none."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    layout: str = ""


@dataclass(frozen=True)
class Usage:
    """What there is to know for running a file, and ten lines of Python that do."""

    file: str
    inputs: list[Value]
    outputs: list[Value]
    images: Images | None
    program: str

    @classmethod
    def of(cls, model: OnnxModel) -> Usage:
        """Return the usage of a file, told by itself."""
        graph, images = model.proto.graph, model.images
        inputs = [_value(value, images) for value in graph.input]
        outputs = [_value(value, None) for value in graph.output]
        feeds = {value.name: (value.dtype, value.shape) for value in inputs}
        program = snippet(model.path.name, feeds, [value.name for value in outputs], images)
        return cls(model.path.name, inputs, outputs, images, program)

    def markdown(self) -> list[str]:
        """Return the lines of the report."""
        header = ("", "name", "dtype", "shape", "layout")
        table = format_markdown(
            header, [*_rows("input", self.inputs), *_rows("output", self.outputs)]
        )
        lines = [f"## Using {self.file}", "", table, ""]
        if self.images is not None:
            begin = "The model itself does this to images"
            if not self.images.embedded:
                begin = f"Images become `{self.images.input}` so"
            lines += [f"{begin}: {self.images.as_dict()['words']}.", ""]
        return [*lines, "```python", *self.program.splitlines(), "```", ""]

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return {
            "file": self.file,
            "inputs": [asdict(value) for value in self.inputs],
            "outputs": [asdict(value) for value in self.outputs],
            "images": None if self.images is None else self.images.as_dict(),
            "program": self.program,
        }


def _rows(kind: str, values: Iterable[Value]) -> list[tuple[str, ...]]:
    return [
        (kind, f"`{one.name}`", one.dtype, " x ".join(map(str, one.shape)) or "scalar", one.layout)
        for one in values
    ]


def _value(info: onnx.ValueInfoProto, images: Images | None) -> Value:
    one = info.type.tensor_type
    dtype = onnx.helper.tensor_dtype_to_np_dtype(one.elem_type).name
    shape = tuple(dim.dim_value or dim.dim_param or "any" for dim in one.shape.dim)
    layout = ""
    if images is not None and images.embedded and dtype == "uint8":
        layout = "N x H x W x 3: red, green, blue"
    elif images is not None and info.name == images.input:
        layout = f"N x C x H x W, {images.preprocessing.order}"
    return Value(info.name, dtype, shape, layout)
