"""PowerFile, of spatial transformer networks."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from caffe_layers.base.layer import Layer
from caffe_layers.base.op import Op, Values
from caffe_layers.base.shape import Shape
from prototxt.errors import FormatError, UsageError


class PowerFile(Layer, type="PowerFile", fork="stn", param="power_file_param"):
    """`top = x + shift`, whose values, one for each but the first axis, stand in a text file.

    What the file lacks is 0, and so is all without a `shift_file`. Where the file is not there
    Caffe goes on with 0; here the layer has its shape and does not run.

    Errors: FormatError for what is no number; UsageError on running without the file.
    Caffe: bryanyzhu/Hidden-Two-Stream, src/caffe/layers/power_file_layer.{cpp,cu}
    """

    def __init__(self, sizes: Shape, *, shift_file: str = "") -> None:
        super().__init__()
        self.file = shift_file
        self.lacking = bool(shift_file) and not Path(shift_file).is_file()
        values = torch.zeros(prod(sizes))
        if shift_file and not self.lacking:
            words = Path(shift_file).read_text("utf-8", errors="replace").split()[: len(values)]
            try:
                numbers = [float(word) for word in words]
            except ValueError as error:
                raise FormatError(f"shift_file {shift_file!r}: {error}") from None
            values[: len(numbers)] = torch.tensor(numbers)
        self.register_buffer("shift", values.reshape(sizes), persistent=False)

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> PowerFile:
        return cls(bottoms[0][1:], **cls.fields(layer))

    def shapes(self, x: Shape) -> list[Shape]:
        return [x]

    def forward(self, x: Tensor) -> Tensor:
        self._require_file()
        shift: Tensor = self.shift
        return x + shift

    def onnx(self, op: Op, x: str) -> Values:
        self._require_file()
        return op.Add(x, op.array("shift", self.shift.cpu().numpy()))

    def _require_file(self) -> None:
        if self.lacking:
            raise UsageError(f"shift_file: no file {self.file!r} in the working folder")
