"""What a class statement says of a layer's parameters, held against the schema."""

from __future__ import annotations

from typing import Any

from prototxt.schema import Schema

from .fields import REQUIRED, arguments_of
from .layer import Layer, Registry


class UndeclaredError(TypeError):
    """A class names a message that its schema lacks."""


def check_declarations(declared: Registry, schema: Schema) -> None:
    """Raise TypeError where a layer's message is not there, or nothing gives it an argument."""
    readings = [pair for forks in declared.layers.values() for pair in forks.items()]
    for fork, cls in (*readings, *(("bvlc", cls) for cls in declared.python.values())):
        dialect = schema.dialect(fork if schema.is_known(fork) else "bvlc")
        check_declaration(cls, dialect.message("LayerParameter").DESCRIPTOR)


def check_declaration(cls: type[Layer], layer: Any) -> None:
    """Check one class by its dialect's descriptor of LayerParameter.

    A class with a `from_caffe` of its own may take any arguments. Another one that names its
    message takes no argument beside it, not even with a default: that would hide a misspelling.
    """
    if cls.param in cls.fork_fields:  # another dialect's, of which nothing is known here
        return
    messages = {field.name: field.message_type for field in layer.fields if field.message_type}
    if cls.param and cls.param not in messages:
        dialect = layer.file.name.removesuffix(".proto")
        problem = f"{dialect}'s LayerParameter has no message {cls.param!r}"
        raise UndeclaredError(f"{cls.__name__}: {problem}")
    if any("from_caffe" in vars(base) for base in cls.__mro__ if base is not Layer):
        return
    known = {path.rpartition(".")[2] for path in cls.fork_fields}
    if cls.param:
        known.update(messages[cls.param].fields_by_name)
    for name, default in arguments_of(cls).items():
        if name not in known and (default is REQUIRED or "param" in vars(cls)):
            lacks = f"{cls.param} has no field" if cls.param else "it names no param"
            raise TypeError(f"{cls.__name__}: {lacks} for the argument {name!r}")
