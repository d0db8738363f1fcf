"""What the reference shows of a layer that hands keywords on: its bases' in place of `**options`.

It is what `inspect.signature` says of a layer; but mkdocstrings reads sources, for which Griffe,
its reader, calls this (`mkdocs.yml`).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from griffe import Class, Extension, Function, Module, Object, Parameter, ParameterKind

REST = ParameterKind.var_keyword


class WholeSignatures(Extension):
    """Changes the layers' classes when all of them are read."""

    def on_package(self, *, pkg: Module, **_: Any) -> None:
        """Write out what every class of the layers' package hands on."""
        if pkg.name == "caffe_layers":
            for cls in classes(pkg):
                complete(cls)


def classes(parent: Object) -> Iterator[Class]:
    """Yield the classes that are defined in a module and in those below it."""
    for member in parent.members.values():
        if isinstance(member, Class):
            yield member
        elif isinstance(member, Module):
            yield from classes(member)


def complete(cls: Class) -> None:
    """Put the keywords of its bases in the place of a class's `**options`."""
    own = cls.members.get("__init__")
    if not isinstance(own, Function) or (rest := declared(own)) is None:
        return
    del own.parameters[rest.name]
    for base in cls.mro():
        init = base.members.get("__init__")
        if not isinstance(init, Function):
            continue
        for parameter in init.parameters:
            if (
                parameter.kind is ParameterKind.keyword_only
                and parameter.name not in own.parameters
            ):
                own.parameters.add(parameter)
        if not any(parameter.kind is REST for parameter in init.parameters):
            return


def declared(function: Function) -> Parameter | None:
    """Return a function's `**options`, if a TypedDict says what they are."""
    for parameter in function.parameters:
        if parameter.kind is REST and str(parameter.annotation).startswith("Unpack["):
            return parameter
    return None
