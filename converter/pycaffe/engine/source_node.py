"""Layers without bottoms: what a script writes, what a filler sets, what is read from files."""

from __future__ import annotations

from typing import Any

from torch import Tensor

import caffe_layers
from caffe_layers.data.dummy_data import DummyData
from caffe_layers.data.input import Input
from prototxt.errors import UnsupportedError

from .blob import Blob
from .layer import Layer
from .node import Node

NOT_READ = "the files of layers of its type are not read here"
FEED = "an Input layer in its place, whose tops the script sets"


class SourceNode(Node):
    """Fills its tops at every forward pass, but for inputs and for constants.

    A constant that a filler sets is set once, when the network is built: scripts write their labels
    into it.

    Caffe: src/caffe/layers/dummy_data_layer.cpp, input_layer.cpp, base_data_layer.cpp
    """

    def __init__(
        self, layer: Layer, step: Any, tops: list[Blob], module: caffe_layers.Layer
    ) -> None:
        super().__init__(layer, step, [], tops)
        self.module = module

    @property
    def is_input(self) -> bool:
        """Tell whether the script sets the tops."""
        return isinstance(self.module, Input)

    def setup(self) -> None:
        """Give the tops their shapes, and constants their values."""
        for top, shape in zip(self.tops, self.module.checked_shapes(), strict=True):
            top.set_shape((0,) if shape is None else shape)
        if not self.module.makes_tops and self.module.read_error is not None:
            raise self.module.read_error
        if not self.is_input and not all(top.count for top in self.tops):
            raise UnsupportedError(f"{NOT_READ}, and their sizes are not known", fix=FEED)
        if isinstance(self.module, DummyData):
            for top, value, filler in zip(self.tops, self._made(), self._fillers(), strict=True):
                if filler == "constant":
                    top.take(value, ())

    def _fillers(self) -> list[str]:
        assert isinstance(self.module, DummyData)
        return [str(filler.type) for filler in self.module.fillers]

    def _made(self) -> tuple[Tensor, ...]:
        made: Any = self.module()
        return (made,) if isinstance(made, Tensor) else tuple(made)

    def reshape(self) -> None:
        """Leave the tops as they are: their shapes are the data's."""

    def forward(self) -> None:
        if self.is_input:
            return
        if not self.module.makes_tops:
            if all(top._values.tensor is None for top in self.tops):
                raise UnsupportedError(f"{NOT_READ}, and nothing was written to its tops", fix=FEED)
            return
        fixed: list[str] = []
        if isinstance(self.module, DummyData):
            fixed = self._fillers()
            if self.module.constant_tops:
                return
        for index, (top, value) in enumerate(zip(self.tops, self._made(), strict=True)):
            if not (fixed and fixed[index] == "constant"):
                top.take(value, ())

    def backward(self) -> None:
        """Have no bottoms."""
