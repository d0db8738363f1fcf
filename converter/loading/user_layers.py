"""Layers that the user brings along, and the schema of their parameters beside them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.util import module_from_spec, spec_from_file_location
from os import PathLike
from pathlib import Path

from caffe_layers.base.registry import OWN_FORKS, registered
from prototxt import schema
from prototxt.errors import FormatError, UnsupportedError
from prototxt.paths import PathName

_loaded: set[Path] = set()


def load_layers(files: PathName | Sequence[PathName] | None) -> None:
    """Register the layers of the user's files, each once in a process.

    A file is Python with subclasses of `caffe_layers.Layer`; a `.proto` of the same stem beside it
    becomes the dialect of that name. FormatError for a file that is not there or is no Python,
    UnsupportedError for a layer that another one has the place of.
    """
    for file in [files] if isinstance(files, (str, PathLike)) else files or ():
        path = Path(file).resolve()
        if path not in _loaded:
            _load(path)
            _loaded.add(path)


def _load(path: Path) -> None:
    if not path.is_file():
        raise FormatError(f"{path}: no such file of layers")
    if path.with_suffix(".proto").exists():
        schema.add(path.with_suffix(".proto"))
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise FormatError(f"{path}: no Python file", fix="name it with .py")
    module = module_from_spec(spec)
    before = registered()
    # Pickle and worker processes find a class by its module's name.
    shadowed = sys.modules.get(path.stem)
    if shadowed is not None and Path(getattr(shadowed, "__file__", None) or "") != path:
        message = f"{path}: a module named {path.stem!r} is there already"
        raise UnsupportedError(message, fix="rename the file")
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as error:
        raise FormatError(f"{path}:{error.lineno}: {error.msg}") from None
    except (ImportError, TypeError) as error:
        raise UnsupportedError(f"{path}: {error}") from error
    added = registered() - before
    OWN_FORKS.update(fork for _, fork in added if fork != "bvlc")
