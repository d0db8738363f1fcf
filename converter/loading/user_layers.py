"""Layers that the user brings along, and the schema of their parameters beside them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from os import PathLike
from pathlib import Path
from threading import RLock
from types import ModuleType

from caffe_layers.base.declaration import UndeclaredError, check_declarations
from caffe_layers.base.layer import DEFAULT, Registry, filling
from caffe_layers.limits import slip
from prototxt.errors import CaffeError, FormatError, UnsupportedError
from prototxt.paths import PathName
from prototxt.schema import SHIPPED, Schema
from prototxt.schema.protos import Protos, with_protos

Layers = PathName | Sequence[PathName] | Registry | None
"""Files of layers, or what `registry_of` made of them."""

_held: dict[tuple[Path, bytes], Registry] = {}
"""What each text of a file declares: it runs once, for a class is not what another run makes."""
_running = RLock()


def registry_of(
    layers: Layers,
    schema: Schema = SHIPPED,
    *,
    proto: Protos = None,
    near: PathName | None = None,
) -> Registry:
    """Return the layers that there are with the user's files; a registry's stay what they are.

    A file is Python with subclasses of `caffe_layers.Layer`; a `.proto` of the same stem beside it
    becomes the dialect of that name, beside those of `schema`. So do forks' own schemas: those of
    `proto`, or the one that lies beside the file `near`. FormatError for a file that is not there
    or is no Python, UnsupportedError for a layer that another one has the place of.
    """
    if isinstance(layers, Registry):
        return replace(layers, schema=with_protos(layers.schema, proto, near))
    registry = replace(DEFAULT, schema=with_protos(schema, proto, near))
    files = [layers] if isinstance(layers, (str, PathLike)) else layers or ()
    for path in dict.fromkeys(Path(file).resolve() for file in files):
        registry = _with_file(registry, path)
    return registry


def _with_file(registry: Registry, path: Path) -> Registry:
    if not path.is_file():
        raise FormatError(f"{path}: no such file of layers")
    schema, proto = registry.schema, path.with_suffix(".proto")
    if proto.exists():
        schema = schema.with_file(proto)
    if path.suffix != ".py":
        raise FormatError(f"{path}: no Python file", fix="name it with .py")
    try:
        declared = _declared(path)
        check_declarations(declared, schema)
        return registry.with_layers(replace(declared, schema=schema))
    except (ImportError, TypeError) as error:
        raise UnsupportedError(f"{path}: {error}", fix=_messages(error, proto)) from error
    except CaffeError:
        raise
    except Exception as error:
        raise UnsupportedError(f"{path}: {slip(error)}") from error


def _messages(error: Exception, proto: Path) -> str:
    """Say where a file's messages come from, where one was not found."""
    if not isinstance(error, UndeclaredError):
        return ""
    if not proto.exists():
        return f"{proto.name} beside it says the message, and there is none"
    return f'the messages of {proto.name} are of fork="{proto.stem}"'


def _declared(path: Path) -> Registry:
    source = path.read_bytes()
    with _running:
        if (path, source) not in _held:
            _held[path, source] = _run(path, source)
        return _held[path, source]


def _run(path: Path, source: bytes) -> Registry:
    """Run a file's text; return the layers that it declares or imports by name."""
    name = _module_name(path)
    spec = spec_from_file_location(name, path)
    assert spec is not None
    module, declared = module_from_spec(spec), Registry()
    sys.modules[name] = module
    try:
        with filling(declared):
            # Not by the spec's loader: its bytecode may be of another text of the same second.
            exec(compile(source, path, "exec", dont_inherit=True), vars(module))
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, SyntaxError):
            place = f"{error.filename or path}:{error.lineno}"
            raise FormatError(f"{place}: {error.msg}") from None
        raise
    _add_imported(declared, module)
    forks = {fork for readings in declared.layers.values() for fork in readings}
    return replace(declared, own_forks=frozenset(forks - {"bvlc"}))


def _module_name(path: Path) -> str:
    """Return the name by which pickle and worker processes find a file's classes."""
    name = path.stem
    ours = {str(held) for held, _ in _held} | {str(path)}
    number = 1
    while (there := sys.modules.get(name)) is not None:
        if getattr(there, "__file__", None) not in ours:
            message = f"{path}: a module named {name!r} is there already"
            raise UnsupportedError(message, fix="rename the file")
        number += 1
        name = f"{path.stem}_{number}"
    return name


def _add_imported(declared: Registry, module: ModuleType) -> None:
    """Add what the file imports from one that another file of layers had imported before it."""
    named = [value for value in vars(module).values() if isinstance(value, type)]
    for earlier in _held.values():
        for kind, readings in earlier.layers.items():
            for fork, cls in readings.items():
                if cls in named:
                    declared.add(cls, kind, fork)
        for (place, layer), cls in earlier.python.items():
            if cls in named:
                declared.add_python(cls, place, layer)
