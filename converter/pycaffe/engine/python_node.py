"""A layer of the user's in a running network.

Caffe: include/caffe/layers/python_layer.hpp
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import caffe_layers
from caffe_layers.base.layer import Registry
from caffe_layers.base.shape import Shape
from caffe_layers.data.python import Python

from .blob import Blob, shapes_of
from .layer import Phase
from .node import Node
from .vectors import BoolVec, RawBlobVec


class UserCode(caffe_layers.Layer, bottoms=(0, None), tops=(0, None)):
    """Stands for the user's classes where a definition's layers are looked up."""

    caffe_type, fork = Python.caffe_type, Python.fork

    @classmethod
    def meant_by(cls, layer: Any, registry: Registry) -> type[caffe_layers.Layer]:
        """Return the class that runs a layer: a known port where its module is not there."""
        named = layer.python_param.module, layer.python_param.layer
        if named in registry.python and not _is_there(*named):
            return registry.python[named]
        return cls

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        """Say nothing: the user's code gives its tops their shapes."""
        return []


def running_users_code(registry: Registry) -> Registry:
    """Return the registry whose layers of type Python are the user's code."""
    layers = dict(registry.layers)
    layers[Python.caffe_type] = {Python.fork: UserCode}
    return Registry(registry.schema, layers, registry.python, registry.own_forks)


def _is_there(module: str, layer: str) -> bool:
    try:
        return hasattr(import_module(module), layer)
    except ImportError:
        return False


class PythonNode(Node):
    """Runs the user's object, whose exceptions pass through unchanged."""

    def __init__(self, step: Any, bottoms: list[Blob], tops: list[Blob], phase: int) -> None:
        param = step.layer.python_param
        made = getattr(import_module(param.module), param.layer)(step.layer)
        super().__init__(made, step, bottoms, tops)
        made.param_str = made.param_str_ = param.param_str
        made.phase = Phase(phase)
        self._bottom, self._top = RawBlobVec(bottoms), RawBlobVec(tops)

    def setup(self) -> None:
        """Let the user's object read its parameters and shape its tops."""
        self.layer.setup(self._bottom, self._top)
        self.reshape()

    def reshape(self) -> None:
        self.layer.reshape(self._bottom, self._top)
        self.seen = shapes_of(self.bottoms)

    def forward(self) -> None:
        self.reshape()
        self.layer.forward(self._bottom, self._top)
        for top in self.tops:
            if top not in self.bottoms:
                top._values.chain += 1

    def backward(self) -> None:
        self.layer.backward(self._top, BoolVec(self.bottom_needs), self._bottom)
