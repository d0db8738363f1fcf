"""How `import caffe` and `import caffe.io` find this package."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

from .errors import lacking
from .names import CONSTANTS, INSTEAD, NAMES, SUBMODULES

PACKAGES = ("caffe", "caffe.proto")
PB2 = "caffe.proto.caffe_pb2"


class Finder(MetaPathFinder):
    """Finds our modules; what only a Caffe tree on `sys.path` has (`caffe.model_libs`) there."""

    def __init__(self, dialect: str | None) -> None:
        self.dialect = dialect

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in NAMES or fullname in PACKAGES or fullname == PB2:
            spec = ModuleSpec(fullname, _Loader(self.dialect), is_package=fullname in PACKAGES)
            spec.origin = str(Path(__file__).with_name("__init__.py"))
            return spec
        if fullname.startswith("caffe."):
            folders = [str(Path(entry or ".", "caffe")) for entry in sys.path]
            others = (one.find_spec for one in sys.meta_path if not isinstance(one, Finder))
            found = (find(fullname, folders, target) for find in others)
            return next((spec for spec in found if spec is not None), None)
        return None


class _Loader(Loader):
    def __init__(self, dialect: str | None) -> None:
        self.dialect = dialect

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        name, spec = module.__name__, module.__spec__
        if spec is not None:
            module.__file__ = spec.origin
        if name == PB2:
            from prototxt import pb2

            module.__dict__.update(pb2.namespace(dialect=self.dialect))
            return
        module.__dict__.update(CONSTANTS.get(name, {}))
        lazily(module)


def lazily(module: ModuleType) -> None:
    """Let a module import its members when they are first asked for."""
    homes, inner = NAMES.get(module.__name__, {}), SUBMODULES.get(module.__name__, {})

    def member(name: str) -> Any:
        if name in inner:
            value: Any = import_module(inner[name])
        elif name in homes:
            value = getattr(import_module(homes[name], __package__), name)
        else:
            raise AttributeError(lacking(f"module {module.__name__!r}", name, INSTEAD))
        setattr(module, name, value)
        return value

    public = [name for name in (*homes, *inner) if not name.startswith("_")]
    constants = [name for name in CONSTANTS.get(module.__name__, {}) if not name.startswith("_")]
    module.__dict__["__all__"] = [*public, *constants]
    module.__dict__["__getattr__"] = member
    module.__dict__["__dir__"] = lambda: sorted({*vars(module), *homes, *inner})


def installed_dialect() -> str | None:
    """Return the dialect that `install` was told, if it was."""
    finders = [finder for finder in sys.meta_path if isinstance(finder, Finder)]
    return finders[0].dialect if finders else None
