"""Layers that are known by their shapes alone."""

from __future__ import annotations

from typing import ClassVar, NoReturn

from torch import Tensor

from caffe_layers.base.op import Op
from prototxt.errors import UnsupportedError

from .layer import Layer


class ShapesOnly(Layer):
    """Base of layers whose shapes can be told and whose values cannot: running one is refused.

    A definition with such a layer loads, and runs where the layer's inputs are left out.

    Errors: UnsupportedError, with the `reason`, when it runs or is exported.
    """

    reason: ClassVar[str]
    fix: ClassVar[str] = ""

    def forward(self, *bottoms: Tensor) -> NoReturn:
        raise UnsupportedError(f"{self.what} {self.reason}", fix=self.fix)

    def onnx(self, op: Op, *bottoms: str) -> NoReturn:
        raise UnsupportedError(f"{self.what} {self.reason}", fix=self.fix)

    @property
    def what(self) -> str:
        """How the message calls the layer."""
        return self.caffe_type
