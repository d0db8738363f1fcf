"""Python: layers whose code is the user's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from caffe_layers.base.layer import Layer, Registry, registering
from caffe_layers.base.shape import Shape
from prototxt.errors import FormatError, UnsupportedError

from .fed import Fed

Class = TypeVar("Class", bound=type[Layer])


def register_python(module: str, layer: str) -> Callable[[Class], Class]:
    """Let a class be the Python layers that name this `module` and `layer`.

    A decorator of a `Layer` without a `type`, which says how many bottoms and tops it takes:
    `class Proposal(caffe_layers.Layer, bottoms=3, tops=(1, 2))`. It has a layer's four slots;
    `from_caffe` finds the parameters in `layer.python_param.param_str`.

    Raises TypeError for what is no such class, and for a name that is taken.
    """

    def register(cls: Class) -> Class:
        if not (isinstance(cls, type) and issubclass(cls, Layer)) or hasattr(cls, "caffe_type"):
            raise TypeError(f"{cls!r} is no subclass of caffe_layers.Layer without a type")
        registering().add_python(cls, module, layer)
        cls.caffe_type, cls.fork = Python.caffe_type, Python.fork
        return cls

    return register


class Python(Layer, type="Python", bottoms=(0, None), tops=(0, None)):
    """Stands for a class of the user's, which `register_python` has named.

    Code that a file names is never imported on the file's say-so. Without bottoms it can only read
    data, and its tops are fed.

    Errors: UnsupportedError for what is not registered.
    Caffe: BVLC/caffe, include/caffe/layers/python_layer.hpp
    """

    @classmethod
    def meant_by(cls, layer: Any, registry: Registry) -> type[Layer]:
        module, name = layer.python_param.module, layer.python_param.layer
        if not (module and name):
            raise FormatError("python_param does not name both module and layer")
        if (module, name) not in registry.python:
            if not layer.bottom:
                return PythonData
            raise UnsupportedError(
                f"{module}.{name} is Python code that the file only names, and no layer is "
                "registered for it",
                fix=f"@caffe_layers.register_python({module!r}, {name!r}) on a caffe_layers.Layer "
                "of your own, before loading",
            )
        return registry.python[module, name]


class PythonData(Fed, bottoms=0, tops=(1, None)):
    """Stands for a layer of the user's that reads data: its tops are fed, in shapes of the user's.

    Caffe: BVLC/caffe, include/caffe/layers/python_layer.hpp
    """

    caffe_type, fork = Python.caffe_type, Python.fork

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> PythonData:
        return cls(*[None] * len(layer.top))
