"""What a class statement says of a layer's parameters, held against the schema."""

from __future__ import annotations

from typing import Any

from .fields import arguments_of
from .layer import Layer


def check_declaration(cls: type[Layer], layer: Any) -> None:
    """Raise TypeError for a message that is not there, or an argument that nothing gives.

    `layer` is the LayerParameter of the class's dialect. A class with a `from_caffe` of its own may
    take any arguments.
    """
    messages = {f.name: f.message_type for f in layer.DESCRIPTOR.fields if f.message_type}
    if cls.param and cls.param not in messages:
        raise TypeError(f"{cls.__name__}: LayerParameter has no message {cls.param!r}")
    if any("from_caffe" in vars(base) for base in cls.__mro__ if base is not Layer):
        return
    known = {path.rpartition(".")[2] for path in cls.fork_fields}
    if cls.param:
        known.update(messages[cls.param].fields_by_name)
    for name in arguments_of(cls):
        if name not in known:
            lacks = f"{cls.param} has no field" if cls.param else "it names no param"
            raise TypeError(f"{cls.__name__}: {lacks} for the argument {name!r}")
