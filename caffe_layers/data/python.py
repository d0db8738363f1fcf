"""Python: layers whose code is the user's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from caffe_layers.base.layer import Layer, Registry, registering
from caffe_layers.base.shape import Shape
from caffe_layers.base.shapes_only import ShapesOnly
from prototxt.errors import FormatError, UnsupportedError

from .fed import Fed

Class = TypeVar("Class", bound=type[Layer])


def register_python(module: str, layer: str) -> Callable[[Class], Class]:
    """Let a class be the Python layers that name this `module` and `layer`.

    A decorator of a `Layer` without a `type`, which says how many bottoms and tops it takes:
    `class Proposal(caffe_layers.Layer, bottoms=3, tops=(1, 2))`. It has a layer's four slots;
    `from_caffe` finds the parameters in `layer.python_param.param_str`. Several names may be given
    one above the other.

    Raises TypeError for what is no such class, and for a name that is taken.
    """

    def register(cls: Class) -> Class:
        is_layer = isinstance(cls, type) and issubclass(cls, Layer)
        if not is_layer or getattr(cls, "caffe_type", Python.caffe_type) != Python.caffe_type:
            raise TypeError(f"{cls!r} is no subclass of caffe_layers.Layer without a type")
        registering().add_python(cls, module, layer)
        cls.caffe_type, cls.fork = Python.caffe_type, Python.fork
        return cls

    return register


class Python(Layer, type="Python", bottoms=(0, None), tops=(0, None)):
    """Stands for a class of the user's, which `register_python` has named.

    Code that a file names is never imported on the file's say-so. Where none is named, a layer
    without bottoms can only read data, and its tops are fed; one with a `loss_weight` is a loss.

    Errors: UnsupportedError for what is not registered.
    Caffe: BVLC/caffe, include/caffe/layers/python_layer.hpp
    """

    @classmethod
    def meant_by(cls, layer: Any, registry: Registry) -> type[Layer]:
        module, name = layer.python_param.module, layer.python_param.layer
        if not (module and name):
            raise FormatError("python_param does not name both module and layer")
        if (module, name) in registry.python:
            return registry.python[module, name]
        if not layer.bottom:
            return PythonData
        if any(layer.loss_weight):
            return PythonLoss
        raise UnsupportedError(
            f"{module}.{name} is Python code that the file only names, and no layer is "
            "registered for it",
            fix=f"--layers FILE.py, with @caffe_layers.register_python({module!r}, {name!r}) on a "
            f"caffe_layers.Layer of your own; {_cuts(layer)}",
        )


def _cuts(layer: Any) -> str:
    """Say how a network does without a layer."""
    ways = [f"--end {','.join(dict.fromkeys(layer.bottom))} ends the network before it"]
    if len(layer.bottom) == len(layer.top) == 1:
        ways.insert(0, f"--skip {layer.name} leaves it out, if it does nothing in testing")
    if fed := [top for top in layer.top if top not in layer.bottom]:
        ways.append(" ".join(f"--input-shape {top}=..." for top in fed) + " feeds what it makes")
    return ", ".join(ways)


class PythonShapes(ShapesOnly):
    """Base of Python layers whose shapes are known, and whose values only their Python computes."""

    reason = "is Python code of which the shapes alone are known here"
    fix = "--end BLOB ends the network before it, --layers takes a layer of your own for it"
    called: str = Python.caffe_type

    @property
    def what(self) -> str:
        return self.called

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> PythonShapes:
        made = cls(**cls.read(layer))
        made.called = f"{layer.python_param.module}.{layer.python_param.layer}"
        return made

    @classmethod
    def read(cls, layer: Any) -> dict[str, Any]:
        """Return the arguments of `__init__` that a layer's message gives."""
        return {}


class PythonLoss(PythonShapes, bottoms=(1, None), tops=(1, None)):
    """Stands for a loss in Python: every top is one number, as in Caffe's own example.

    A Python layer is a loss by its `loss_weight`, or by its name where that is known.

    Errors: UnsupportedError on running.
    Caffe: BVLC/caffe, examples/pycaffe/layers/pyloss.py
    """

    caffe_type, fork = Python.caffe_type, Python.fork
    is_metric = True

    def __init__(self, tops: int = 1) -> None:
        super().__init__()
        self.count = tops

    @classmethod
    def read(cls, layer: Any) -> dict[str, Any]:
        return {"tops": len(layer.top)}

    def shapes(self, *bottoms: Shape) -> list[Shape]:
        return [(1,)] * self.count


class PythonData(Fed, bottoms=0, tops=(1, None)):
    """Stands for a layer of the user's that reads data: its tops are fed, in shapes of the user's.

    Caffe: BVLC/caffe, include/caffe/layers/python_layer.hpp
    """

    caffe_type, fork = Python.caffe_type, Python.fork

    @classmethod
    def from_caffe(cls, layer: Any, bottoms: list[Shape]) -> PythonData:
        return cls(*[None] * len(layer.top))
